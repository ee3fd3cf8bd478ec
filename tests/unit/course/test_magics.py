"""What `%docker` makes of a line, and how it prints what a command prints."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from labkit.course.page import command, magics
from labkit.course.page.command import run_printing
from labkit.course.page.magics import build_words, commands_of, words_of


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("run --rm busybox echo hi", ["run", "--rm", "busybox", "echo", "hi"]),
        (
            "run -c 1024 busybox sh -c 'a | b'",
            ["run", "-c", "1024", "busybox", "sh", "-c", "a | b"],
        ),
        ("ps --format '{{.ID}}'", ["ps", "--format", "{{.ID}}"]),
        ("ps --format {{.Names}}", ["ps", "--format", "{{.Names}}"]),
        ("run -e A=$HOME busybox", ["run", "-e", "A=$HOME", "busybox"]),
        ("rm {name}", ["rm", "my box"]),
        ("rm {name}-{number}", ["rm", "my box-7"]),
        ("rm {box.short_id}", ["rm", "abc"]),
        ("rm {unknown} {} {a,b}", ["rm", "{unknown}", "{}", "{a,b}"]),
        ("", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    variables = {"name": "my box", "number": 7, "box": SimpleNamespace(short_id="abc")}
    assert words_of(line, variables) == words


@pytest.mark.parametrize("line", ["ps | wc", "run a && run b", "logs x > file", "run 'open"])
def test_what_only_a_shell_can_do_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        words_of(line, {})


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("build -t shop \N{EN DASH}f ./Dockerfile .", "type '-f'"),
        ("run \N{EM DASH}rm busybox true", "type '--rm'"),
        ("run \N{EN DASH}\N{EN DASH}memory-swap=300m busybox true", "type '--memory-swap=300m'"),
        ("run \N{MINUS SIGN}m 200m busybox true", "type '-m'"),
    ],
)
def test_a_long_dash_is_answered_with_what_to_type(line: str, advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        words_of(line, {})


def test_a_long_dash_among_words_is_a_word() -> None:
    assert words_of("run busybox echo a \N{EN DASH} b", {})[-2:] == ["\N{EN DASH}", "b"]


def test_a_cell_is_commands_as_the_notes_write_them() -> None:
    cell = """
    # two containers
    docker run -d --name a \\
        busybox true
    ps

      docker  rm a
    """
    assert [words_of(line, {}) for line in commands_of(cell)] == [
        ["run", "-d", "--name", "a", "busybox", "true"],
        ["ps"],
        ["rm", "a"],
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["-t", "app"], ["build", "-t", "app", "-"]),
        (["-t", "app", "--no-cache"], ["build", "-t", "app", "--no-cache", "-"]),
        (["-t", "app", "./site"], ["build", "-f", "-", "-t", "app", "./site"]),
        (["-t", "app", "."], ["build", "-f", "-", "-t", "app", "."]),
        ([], ["build", "-"]),
    ],
)
def test_a_dockerfile_has_the_folder_that_is_named_as_context(
    line: list[str], words: list[str]
) -> None:
    assert build_words(line) == words


@pytest.fixture
def shell() -> InteractiveShell:
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "labkit.course")
    return shell


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python in place of `labkit`: its first argument is a program."""
    real = subprocess.Popen

    def popen(words: list[str], **options: object) -> "subprocess.Popen[bytes]":
        assert words[1:3] == ["-m", "labkit.cli"]
        return real([sys.executable, "-c", *words[3:]], **options)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(command.subprocess, "Popen", popen)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also in the background of a script, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("stand_in")
def test_both_streams_are_printed_from_python(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('out ä'); print('err', file=sys.stderr); sys.exit(3)"
    assert run_printing([program]) == 3
    printed = capsys.readouterr()
    assert printed.out == "out ä\n"
    assert printed.err == "err\n(exit status 3)\n"


@pytest.mark.usefixtures("stand_in")
def test_a_character_cut_in_two_is_whole_again(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import os, time; os.write(1, b'\\xc3'); time.sleep(0.2); os.write(1, b'\\xa4\\xff')"
    assert run_printing([program]) == 0
    assert capsys.readouterr().out == "ä\N{REPLACEMENT CHARACTER}"


@pytest.mark.usefixtures("stand_in")
def test_a_killed_command_has_the_shells_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_printing(["import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]) == 137


@pytest.mark.usefixtures("stand_in", "ctrl_c")
@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("import time; print('on', flush=True); time.sleep(60)", 130),
        (
            "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            "print('on', flush=True); time.sleep(60)",
            137,
        ),
    ],
    ids=["ends", "will not end"],
)
def test_the_stop_button_ends_the_command(
    program: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopsAtFirstWord(io.StringIO):
        """Somebody who presses the stop button as soon as there is something to read."""

        def write(self, text: str) -> int:
            if "on" in text:
                os.kill(os.getpid(), signal.SIGINT)
            return super().write(text)

    printed = StopsAtFirstWord()
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setattr(command, "INTERRUPTED_TIMEOUT_S", 30 if status == 130 else 0.5)
    assert run_printing([program]) == status


@pytest.mark.usefixtures("stand_in")
def test_the_magic_keeps_the_exit_status(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.user_ns["word"] = "it"
    shell.run_line_magic("docker", "\"print('{word}')\"")
    assert capsys.readouterr().out == "it\n"
    assert shell.user_ns["_exit_code"] == 0
    shell.run_cell_magic("docker", "", "'raise SystemExit(4)'\n'print(5)'\n'raise SystemExit(6)'")
    assert capsys.readouterr().out.splitlines()[2] == "5", "later lines run after one that failed"
    assert shell.user_ns["_exit_code"] == 6


@pytest.mark.usefixtures("stand_in")
def test_the_command_reads_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print(sys.stdin.read())"
    assert run_printing([program], stdin="FROM ä\n") == 0
    assert run_printing([program]) == 0
    assert capsys.readouterr().out == "FROM ä\n\n\n"


def test_a_dockerfile_in_a_cell_is_built(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[tuple[list[str], str]] = []

    def stand_in(words: list[str], stdin: str) -> int:
        runs.append((words, stdin))
        return 3

    monkeypatch.setattr(magics, "run_printing", stand_in)
    shell.user_ns["tag"] = "my:app"
    shell.run_cell_magic("dockerfile", "-t {tag}", "FROM busybox\nENV A={tag}\n")
    assert runs == [(["build", "-t", "my:app", "-"], "FROM busybox\nENV A={tag}\n")]
    assert shell.user_ns["_exit_code"] == 3


def test_a_fresh_cell_removes_its_containers_before_its_commands(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(magics, "clear", lambda *, containers: done.append(containers))
    monkeypatch.setattr(magics, "run_printing", done.append)
    shell.user_ns["name"] = "two"
    shell.run_cell_magic("docker", "--fresh one {name}", "docker run --name one busybox")
    assert done == [["one", "two"], ["run", "--name", "one", "busybox"]]
    with pytest.raises(UsageError):
        shell.run_cell_magic("docker", "--fresh", "ps")


def test_the_magic_wants_a_command(shell: InteractiveShell) -> None:
    with pytest.raises(UsageError):
        shell.run_line_magic("docker", "")
    with pytest.raises(UsageError):
        shell.run_cell_magic("docker", "ps", "ps")
