"""Reading Dockerfiles: lines, instructions, stages, and the errors with their places."""

import contextlib
import time

import pytest

from labkit.build.dockerfile.lines import read
from labkit.build.dockerfile.model import Instruction
from labkit.build.dockerfile.parser import parse
from labkit.build.dockerfile.rules import RULES
from labkit.build.errors import DockerfileError
from labkit.errors import InvalidParameterError
from labkit.images import healthchecks


def one(text: str) -> Instruction:
    """The single instruction of a stage."""
    (instruction,) = parse(f"FROM a\n{text}\n".encode()).stages[0].instructions
    return instruction


def texts(text: str) -> list[str]:
    return [line.text for line in read(text.encode(), "Dockerfile").lines]


def test_lines_are_joined_and_comments_left_out() -> None:
    text = "# a comment\n\nFROM a\n  RUN one \\\n  # within\n\n   two \\  \n three\nCMD x"
    assert texts(text) == ["FROM a", "RUN one    two  three", "CMD x"]


def test_a_doubled_escape_continues_nothing() -> None:
    assert texts("RUN a\\\\\nRUN b") == ["RUN a\\\\", "RUN b"]


def test_lines_know_where_they_begin() -> None:
    lines = read(b"FROM a\n\nRUN b \\\n c\nRUN d", "Dockerfile").lines
    assert [line.number for line in lines] == [1, 3, 5]


def test_the_escape_directive() -> None:
    text = "# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN dir c:\\ `\n  more"
    assert texts(text) == ["FROM a", "RUN dir c:\\   more"]


def test_a_directive_after_a_comment_is_a_comment() -> None:
    assert texts("# about\n# escape=`\nRUN a \\\n b") == ["RUN a  b"]


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    assert texts("\ufeffFROM a\r\nRUN b \\\r\n c\r\n") == ["FROM a", "RUN b  c"]


def test_heredocs() -> None:
    instruction = one("RUN <<EOF\none $A\n  two\nEOF")
    (heredoc,) = instruction.heredocs
    assert (heredoc.name, heredoc.content, heredoc.expands) == ("EOF", "one $A\n  two\n", True)
    instruction = one("COPY <<'A' <<-B /place/\n$x\nA\n\ttabbed\n\tB")
    first, second = instruction.heredocs
    assert (first.content, first.expands) == ("$x\n", False)
    assert (second.content, second.expands) == ("tabbed\n", True)


def test_a_here_string_is_none_and_other_instructions_have_none() -> None:
    assert one("RUN cat <<<EOF").heredocs == ()
    assert one("ENV a=<<EOF").heredocs == ()


def test_forms() -> None:
    assert one('CMD ["a", "b c"]').words == ("a", "b c")
    assert one("CMD [a, b]").words is None
    with pytest.raises(DockerfileError, match="must be comprised of strings only"):
        one('CMD ["a", 1]')
    assert one("CMD echo hi").words is None
    assert one('ENV ["a"]=x').words is None


def test_flags() -> None:
    instruction = one("COPY --chown=1:2 --from=x --exclude=*.md --exclude=a -- --odd /b")
    assert instruction.flags[0] == ("chown", "1:2")
    assert instruction.flag("from") == "x"
    assert instruction.flag_values("exclude") == ["*.md", "a"]
    assert instruction.text == "--odd /b"
    assert one("COPY --link a b").flag("link") == "true"
    assert one("CMD --not-a-flag").text == "--not-a-flag"


def test_stages() -> None:
    dockerfile = parse(b"ARG V=1\nFROM go:$V AS Builder\nRUN x\nFROM --platform=linux/amd64 b\n")
    assert [arg.text for arg in dockerfile.arguments] == ["V=1"]
    first, second = dockerfile.stages
    assert (first.name, first.base, [i.name for i in first.instructions]) == (
        "builder",
        "go:$V",
        ["RUN"],
    )
    assert (second.number, second.name, second.platform) == (1, "", "linux/amd64")


def test_onbuild_keeps_an_instruction() -> None:
    trigger = one("ONBUILD COPY a b").trigger
    assert trigger is not None
    assert (trigger.name, trigger.text) == ("COPY", "a b")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "file with no instructions"),
        ("# only\n", 1, "file with no instructions"),
        ("FROM a\nRUNN x\n", 2, r"unknown instruction: RUNN \(did you mean RUN\?\)"),
        ("FROM a\n\nXYZZY x\n", 3, "unknown instruction: XYZZY"),
        ("RUN x\nFROM a", 1, "no build stage in current context"),
        ("ARG a", 1, "no build stage: a FROM is missing"),
        ("FROM", 1, "FROM requires either one or three arguments"),
        ("FROM a b", 1, "FROM requires either one or three arguments"),
        ("FROM a AS 1st", 1, 'invalid name for build stage: "1st"'),
        ("FROM a\nARG =x", 2, "ARG names can not be blank"),
        ("FROM a\nRUN --network=x true", 2, 'invalid network mode "x"'),
        ('FROM a\nVOLUME [""]', 2, "VOLUME specified can not be an empty string"),
        ("FROM a\nHEALTHCHECK --interval=1us CMD x", 2, 'Interval "interval" cannot be less'),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", 2, "--retries cannot be negative"),
        ("FROM a\nRunn x", 2, "unknown instruction: Runn"),
        ("FROM a\nENV a", 2, "ENV must have two arguments"),
        ("FROM a\nENV a=b c", 2, 'can\'t find = in "c"'),
        ("FROM a\nENV =b", 2, "ENV names can not be blank"),
        ("FROM a\nLABEL", 2, "LABEL requires at least one argument"),
        ("FROM a\nARG 1=2", 2, '"1" is not a name'),
        ("FROM a\nCOPY x", 2, "COPY requires at least two arguments, but only one"),
        ("FROM a\nADD", 2, "ADD requires at least two arguments"),
        (
            "FROM a\nCOPY --chwn=1 a b",
            2,
            r"unknown flag: --chwn of COPY \(did you mean --chown\?\)",
        ),
        ("FROM a\nCOPY --chown a b", 2, "missing a value on flag: --chown"),
        ("FROM a\nCOPY --chown=1 --chown=2 a b", 2, "duplicate flag specified: --chown"),
        ("FROM a\nSHELL sh -c", 2, "SHELL requires the arguments to be in JSON form"),
        ("FROM a\nSTOPSIGNAL a b", 2, "STOPSIGNAL requires exactly one argument"),
        ("FROM a\nWORKDIR", 2, "WORKDIR requires exactly one argument"),
        ("FROM a\nHEALTHCHECK x", 2, 'Unknown type "x" in HEALTHCHECK'),
        ("FROM a\nHEALTHCHECK CMD", 2, "Missing command after HEALTHCHECK CMD"),
        ("FROM a\nHEALTHCHECK NONE x", 2, "HEALTHCHECK NONE takes no arguments"),
        ("FROM a\nONBUILD ONBUILD RUN x", 2, "Chaining ONBUILD"),
        ("FROM a\nONBUILD FROM x", 2, "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a\nONBUILD RUNN x", 2, "unknown instruction: RUNN"),
        ("FROM a\nRUN <<EOF\nx", 2, "unterminated heredoc: a line that is just EOF"),
        ("# escape=x\nFROM a", 1, "invalid ESCAPE 'x'"),
        ("# escape=`\n# escape=`\nFROM a", 2, "only one escape parser directive"),
        ("FROM a\nRUN \0", 2, "NUL byte"),
    ],
)
def test_errors_have_their_place(text: str, line: int, message: str) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        parse(text.encode(), "some/Dockerfile")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"dockerfile parse error on line {line}: ")


def test_an_error_shows_the_file_and_the_source_line() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(b"FROM a\n  RUNN apt-get \\\n  update\n", "docker/app.Dockerfile")
    assert str(caught.value).splitlines()[1] == "docker/app.Dockerfile:2: RUNN apt-get \\"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(DockerfileError, match="not UTF-8"):
        parse(b"FROM a\nRUN \xff\xfe")
    with pytest.raises(DockerfileError, match="larger than 1 MiB"):
        parse(b"#" * (1 << 20) + b"\n")


def test_every_instruction_is_known() -> None:
    assert sorted(RULES) == sorted(
        "FROM MAINTAINER RUN CMD LABEL EXPOSE ENV ADD COPY ENTRYPOINT VOLUME USER WORKDIR ARG "
        "ONBUILD STOPSIGNAL HEALTHCHECK SHELL".split()
    )


@pytest.mark.parametrize(
    "text",
    [
        "FROM x\n\\",
        "FROM x\n\\\n\\\n",
        "# check=a" + " " * 500_000 + "b\nFROM x",
        "FROM x\n" + "ARG a\n" * 100_000,
        "".join(f"FROM x AS s{number}\n" for number in range(40_000)),
        "FROM x\nRUN " + "--mount=type=tmpfs,target=/x " * 30_000 + "true",
        "FROM x\nENV a=b\\" + "\\ " * 400_000,
        "FROM x\nRUN <<A" + " <<A" * 50_000 + "\nA",
    ],
    ids=lambda text: f"{len(text)}-{text[:20]!r}",
)
def test_a_strange_file_is_read_in_bounded_time(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(DockerfileError):
        parse(text.encode())
    assert time.process_time() - started < 5


def test_half_a_character_of_json_is_replaced() -> None:
    parsed = parse(b'FROM x\nCOPY ["a\\ud800", "/b"]')
    assert parsed.stages[0].instructions[0].words == ("a\ufffd", "/b")


@pytest.mark.parametrize("flag", ["--interval=" + "9" * 400 + "h", "--retries=" + "9" * 5000])
def test_a_number_without_bound_is_refused(flag: str) -> None:
    with pytest.raises(InvalidParameterError, match="--"):
        healthchecks.read(f"{flag} CMD true")
