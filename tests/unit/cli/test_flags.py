"""Flags are read as Docker's command reads them, and mistakes told in its words."""

import pytest

from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag, HelpRequested, parse, parse_cpus

FLAGS = (
    Flag("detach", "d", "bool", ""),
    Flag("rm", "", "bool", ""),
    Flag("cpu-shares", "c", "int", ""),
    Flag("memory", "m", "bytes", ""),
    Flag("cpus", "", "decimal", ""),
    Flag("env", "e", "list", ""),
    Flag("name", "", "string", ""),
    Flag("hostname", "h", "string", ""),
    Flag("timeout", "t", "int", "", initial=None),
    Flag("explain", "", "string", "", implied="text"),
)


def given(line: str, **more: bool) -> dict[str, object]:
    """The options that differ from those of an empty line."""
    options, _ = parse(FLAGS, line.split(), **more)
    unset, _ = parse(FLAGS, [])
    return {key: value for key, value in options.items() if value != unset[key]}


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", {}),
        ("-d", {"detach": True}),
        ("--rm --detach", {"rm": True, "detach": True}),
        ("--rm=true", {"rm": True}),
        ("--rm --rm=false", {}),
        ("-c 512", {"cpu_shares": 512}),
        ("-c512", {"cpu_shares": 512}),
        ("-c=512", {"cpu_shares": 512}),
        ("--cpu-shares 512", {"cpu_shares": 512}),
        ("--cpu-shares=512", {"cpu_shares": 512}),
        ("-dm 200m", {"detach": True, "memory": 200 << 20}),
        ("-dm200m", {"detach": True, "memory": 200 << 20}),
        ("-m -1", {"memory": -1}),
        ("--cpus 1.5", {"cpus": 1_500_000_000}),
        ("-e A=1 --env B=x=y", {"env": ["A=1", "B=x=y"]}),
        ("--name --rm", {"name": "--rm"}),
        ("-h web", {"hostname": "web"}),
        ("-t 0", {"timeout": 0}),
        ("--explain", {"explain": "text"}),
        ("--explain=json", {"explain": "json"}),
        ("--name a --name b", {"name": "b"}),
    ],
)
def test_flags(line: str, options: dict[str, object]) -> None:
    assert given(line) == options


@pytest.mark.parametrize(
    ("line", "arguments", "options"),
    [
        ("busybox echo -d --rm", ["busybox", "echo", "-d", "--rm"], {}),
        ("-d busybox -c 1", ["busybox", "-c", "1"], {"detach": True}),
        ("--explain busybox", ["busybox"], {"explain": "text"}),
        ("-- -d", ["-d"], {}),
        ("- x", ["-", "x"], {}),
    ],
)
def test_flags_end_at_the_image(line: str, arguments: list[str], options: object) -> None:
    assert parse(FLAGS, line.split(), interspersed=False)[1] == arguments
    assert given(line, interspersed=False) == options


def test_flags_may_follow_arguments_elsewhere() -> None:
    options, arguments = parse(FLAGS, ["web", "-t", "3", "db", "--", "-d"])
    assert (options["timeout"], options["detach"], arguments) == (3, False, ["web", "db", "-d"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nosuch", "unknown flag: --nosuch"),
        ("--memroy 1", "unknown flag: --memroy (did you mean --memory?)"),
        ("--mem 1", "unknown flag: --mem"),
        ("-z", "unknown shorthand flag: 'z' in -z"),
        ("-dz", "unknown shorthand flag: 'z' in -dz"),
        ("--name", "flag needs an argument: --name"),
        ("-m", "flag needs an argument: 'm' in -m"),
        ("-dm", "flag needs an argument: 'm' in -dm"),
        ("--=x", "bad flag syntax: --=x"),
        ("-m 1x", 'invalid argument "1x" for "-m, --memory" flag: invalid size: \'1x\''),
        ("-c x", 'invalid argument "x" for "-c, --cpu-shares" flag: a whole number is needed'),
        ("--rm=maybe", 'invalid argument "maybe" for "--rm" flag: true or false is needed'),
        (
            "--cpus x",
            'invalid argument "x" for "--cpus" flag: a number of CPUs is needed, such as 1.5',
        ),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, line.split())
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 125


def test_abbreviations_are_not_flags() -> None:
    with pytest.raises(UsageError, match="unknown flag: --det"):
        parse(FLAGS, ["--det"])


def test_help_is_asked_for() -> None:
    for words in (["--help"], ["-d", "--help", "x"]):
        with pytest.raises(HelpRequested):
            parse(FLAGS, words)
    without_h = [flag for flag in FLAGS if flag.short != "h"]
    with pytest.raises(HelpRequested):
        parse(without_h, ["-h"])


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1", 10**9),
        ("0.5", 5 * 10**8),
        (".25", 25 * 10**7),
        ("2.", 2 * 10**9),
        ("1.000000001", 10**9 + 1),
    ],
)
def test_cpus(text: str, nanos: int) -> None:
    assert parse_cpus(text) == nanos


@pytest.mark.parametrize("text", ["", ".", "-1", "1,5", "1e3", "²", "0.0000000001"])
def test_what_is_no_number_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match="CPU"):
        parse_cpus(text)
