"""Verbs, help, exit codes: the frame of every command."""

import importlib
import re
import subprocess
import sys

import pytest

from labkit import __version__
from labkit.cli.main import ALIASES, FLAGS, VERBS, find, main, one_verb
from tests.unit.client.stand_in import response

ALL_VERBS = [verb for verbs in VERBS.values() for verb in verbs]

IMPORTED_BY_RUN = """
import sys
import labkit.cli.main, labkit.cli.containers.run
import labkit.cli.attached.attachment, labkit.cli.attached.signals
print(*sorted(sys.modules))
"""
NOT_ON_THE_WAY_OF_RUN = {
    *("argparse", "click", "dataclasses", "datetime", "difflib", "email", "gettext", "http.client"),
    *("inspect", "locale", "logging", "msgspec", "pathlib", "shlex", "shutil", "subprocess"),
    *("tempfile", "textwrap", "threading", "typing_extensions", "urllib", "urllib.parse"),
    *("labkit.client.client", "labkit.client.containers", "labkit.client.images"),
    *("labkit.client.credentials", "labkit.dialect.references", "binascii"),
    *(
        "labkit.client.daemon",
        "labkit.cli.show.explain",
        "labkit.cli.base.help",
        "labkit.cli.containers.ps",
    ),
}


def test_run_imports_only_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORTED_BY_RUN], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & NOT_ON_THE_WAY_OF_RUN == set()


def test_version_needs_next_to_nothing() -> None:
    program = "import sys; from labkit.cli import main; main(['--version']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    version, modules = done.stdout.splitlines()
    assert version == f"labkit version {__version__}"
    assert {"json", "re", "socket", "typing", "enum"} & set(modules.split()) == set()


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_every_verb_has_its_module_and_help(labkit, verb: str) -> None:
    module = find(verb)
    assert callable(module.execute)
    result = labkit(*verb.split(), "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage:  labkit {verb}")
    assert max(map(len, result.out.splitlines())) <= 80
    for flag in module.COMMAND.flags:
        assert re.search(rf"--{flag.name}\b", result.out)
    shorts = [flag.short for flag in module.COMMAND.flags if flag.short]
    assert len(shorts) == len(set(shorts))


def test_every_module_of_the_table_is_of_the_package() -> None:
    for verbs in VERBS.values():
        for module, summary in verbs.values():
            assert importlib.import_module(f"labkit.cli.{module}")
            assert summary[0].isupper()
            assert not summary.endswith(".")


@pytest.mark.parametrize("words", [["volume"], ["volume", "--help"]])
def test_overview_of_a_group(labkit, words: list[str]) -> None:
    result = labkit(*words)
    assert (result.code, result.err) == (0, "")
    assert re.search("^  volume ls ", result.out, re.MULTILINE)
    assert "  run " not in result.out


@pytest.mark.parametrize("name", ALIASES)
def test_another_name_of_a_verb_is_in_its_groups_help(labkit, name: str) -> None:
    verb, *flags = one_verb(name.split())
    assert labkit(name.split(maxsplit=1)[0]).out.count(f"\n  {name} ") == 1
    assert labkit(*name.split(), "--help").out.startswith(f"Usage:  labkit {verb}")
    assert {flag.removeprefix("--") for flag in flags[::2]} <= {
        flag.name for flag in find(verb).COMMAND.flags
    }


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_overview(labkit, words: list[str]) -> None:
    result = labkit(*words)
    assert result.code == 0
    for verb in ALL_VERBS:
        assert re.search(rf"^  {verb} ", result.out, re.MULTILINE)
    for flag in FLAGS:
        assert f"--{flag.name}" in result.out
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nosuch"], 1, "unknown command: labkit nosuch; see 'labkit --help'"),
        (
            ["ruun"],
            1,
            "unknown command: labkit ruun (did you mean 'labkit run'?); see 'labkit --help'",
        ),
        (["--nosuch"], 125, "unknown flag: --nosuch; see 'labkit --help'"),
        (["run", "--nosuch", "x"], 125, "unknown flag: --nosuch; see 'labkit run --help'"),
        (["ps", "-z"], 125, "unknown shorthand flag: 'z' in -z; see 'labkit ps --help'"),
        (["run"], 1, "'labkit run' requires at least 1 argument; see 'labkit run --help'"),
        (["rm"], 1, "'labkit rm' requires at least 1 argument; see 'labkit rm --help'"),
        (["logs"], 1, "'labkit logs' requires 1 argument; see 'labkit logs --help'"),
        (["logs", "a", "b"], 1, "'labkit logs' requires 1 argument; see 'labkit logs --help'"),
        (["ps", "x"], 1, "'labkit ps' accepts no arguments; see 'labkit ps --help'"),
        (
            ["images", "a", "b"],
            1,
            "'labkit images' accepts at most 1 argument; see 'labkit images --help'",
        ),
        (
            ["run", "-e", "=x", "busybox"],
            125,
            'invalid argument "=x" for "-e, --env" flag: it has no name; see \'labkit run --help\'',
        ),
        (
            ["run", "--explain=xml", "busybox"],
            125,
            'invalid argument "xml" for "--explain" flag: it must be text or json; '
            "see 'labkit run --help'",
        ),
        (
            ["inspect", "--type=plugin", "x"],
            125,
            'invalid argument "plugin" for "--type" flag: it must be one of '
            "container, image, volume, network; see 'labkit inspect --help'",
        ),
        (
            ["ps", "-f", "x"],
            125,
            'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected '
            "name=value); see 'labkit ps --help'",
        ),
        (["import", "/nosuch"], 1, "cannot read /nosuch: No such file or directory"),
    ],
)
def test_mistakes_are_one_line_and_ask_nothing(labkit, words, code, message) -> None:
    result = labkit(*words)
    assert result == (code, "", f"labkit: {message}\n")
    assert [request for request in labkit.requests if "wait" not in request] == []


def test_errors_of_the_engine_are_one_line(labkit) -> None:
    labkit.routes["GET /info"] = response("500 Error", {"message": "the disk is full"})
    assert labkit("info") == (1, "", "labkit: the disk is full\n")


def test_root_and_run_name_the_engine(labkit, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LABKIT_RUN", "/nowhere")
    labkit.routes["GET /containers/json"] = response(body=[])
    result = labkit("--run", str(tmp_path / "run"), "--root=/x", "ps")
    assert result.out == "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"


def test_no_daemon_that_may_be_used(labkit, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("labkit.client.daemon._connect_error", lambda _: PermissionError(13, "no"))
    run = tmp_path / "elsewhere"
    for verb, code in (("ps", 1), ("run", 125)):
        result = labkit("--run", str(run), verb, *(["busybox"] if verb == "run" else []))
        assert result.code == code
        assert result.err.startswith(f"labkit: you may not use {run}/labkit.sock: ")
    assert not run.exists()


def test_interrupted(labkit, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("labkit.cli.containers.ps.execute", interrupt)
    assert labkit("ps") == (130, "", "")


def test_a_reader_that_has_had_enough_is_no_error(labkit, monkeypatch) -> None:
    def write_too_much(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("labkit.cli.containers.ps.execute", write_too_much)
    assert labkit("ps") == (141, "", "")


def test_a_full_disk_is_an_error(labkit) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "labkit.cli", "--help"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.stderr == b"labkit: cannot write the output: No space left on device\n"
    assert done.returncode == 1


def test_main_returns_when_it_is_given_words(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"labkit version {__version__}\n"
