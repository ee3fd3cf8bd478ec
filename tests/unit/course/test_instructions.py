"""Chapter 5's results and pictures, from made-up runs; its compiler, its server, its far build."""

import gc
import socket
import subprocess
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

from labkit.course.dockerfile import far_build
from labkit.course.dockerfile.first_listener import FORMS, Listeners, Stopped
from labkit.course.dockerfile.image_sizes import ImageSizes
from labkit.course.dockerfile.say_compiler import write_sources
from labkit.course.dockerfile.starts import (
    ADDED,
    CASES,
    EXEC,
    NONE,
    SHELL,
    Case,
    Start,
    Starts,
    argv_of,
    dockerfile_of,
    printed_by,
    words_of,
)
from labkit.course.page.web_folder import WebFolder


def by_the_rule(case: Case) -> Start:
    argv = argv_of(case)
    return Start(case, tuple(word.text for word in argv), printed_by(argv))


STARTS = Starts(tuple(by_the_rule(case) for case in CASES))


@pytest.mark.parametrize(
    ("case", "argv", "printed"),
    [
        (Case(NONE, NONE, False), "", ""),
        (Case(NONE, SHELL, False), "/bin/sh -c echo cmd", "cmd"),
        (Case(NONE, EXEC, True), "echo words", "words"),
        (Case(EXEC, EXEC, False), "echo entry echo cmd", "entry echo cmd"),
        (Case(EXEC, SHELL, False), "echo entry /bin/sh -c echo cmd", "entry /bin/sh -c echo cmd"),
        (Case(EXEC, EXEC, True), "echo entry echo words", "entry echo words"),
        (Case(SHELL, EXEC, True), "/bin/sh -c echo entry echo words", "entry"),
    ],
)
def test_the_rule_of_what_starts(case: Case, argv: str, printed: str) -> None:
    assert " ".join(word.text for word in argv_of(case)) == argv
    assert printed_by(argv_of(case)) == printed


def test_the_dockerfile_of_a_pair() -> None:
    assert dockerfile_of(NONE, NONE) == "FROM busybox\nCMD []\n"
    assert (
        dockerfile_of(SHELL, EXEC) == 'FROM busybox\nENTRYPOINT echo entry\nCMD ["echo", "cmd"]\n'
    )


def test_one_run_against_the_rule_is_noticed() -> None:
    assert STARTS.holds
    first, *others = STARTS.rows
    for wrong in (first._replace(printed="cmd"), first._replace(argv=("echo",))):
        assert not Starts((wrong, *others)).holds


def test_words_of_the_starts() -> None:
    figure = STARTS.plot()
    assert "ENTRYPOINT shell form, CMD exec form, with words: entry;" in figure.alt
    assert "ENTRYPOINT none, CMD none, without words: nothing to start;" in figure.alt
    assert len(figure.table.rows) == 18
    assert figure.table.column("printed") == figure.table.column("expected")
    assert figure.png.startswith(b"\x89PNG")


def test_a_word_has_the_colour_of_where_it_comes_from() -> None:
    start = STARTS.of(SHELL, NONE, has_words=True)
    assert [(word.text, word.origin) for word in words_of(start)] == [
        ("/bin/sh", ADDED),
        ("-c", ADDED),
        ("'echo entry'", "entry"),
        ("echo", "words"),
        ("words", "words"),
    ]


def listeners(first: str, took_s: float, code: int) -> Listeners:
    server, shell, *_ = FORMS
    rows = (
        Stopped(server, "/bin/sh /serve", 0.02, 0),
        Stopped(shell, first, took_s, code),
    )
    return Listeners(2.0, rows)


@pytest.mark.parametrize(
    ("first", "took_s", "code", "holds"),
    [
        ("/bin/sh -c /serve", 2.01, 137, True),
        ("/bin/sh /serve", 2.01, 137, False),
        ("/bin/sh -c /serve", 0.3, 137, False),
        ("/bin/sh -c /serve", 2.01, 1, False),
    ],
)
def test_a_shell_that_is_process_1_hears_nothing(
    first: str, took_s: float, code: int, holds: bool
) -> None:
    result = listeners(first, took_s, code)
    assert result.holds is holds
    assert f"ENTRYPOINT /serve: process 1 is {first}, {took_s:.2f} s" in result.plot().alt
    assert result.table().column("expected") == ("at once, 0", "2 s, 137")


def test_sizes_as_table_and_picture() -> None:
    sizes = ImageSizes((("fat", 74_000_000), ("small", 1_980_000), ("bare", 200)))
    assert sizes.bytes_of("bare") == 200
    assert sizes.table().column("part of the largest") == ("100.00%", "2.68%", "0.00%")
    figure = sizes.plot()
    assert "fat: 74MB, small: 1.98MB, bare: 200B" in figure.alt
    assert figure.png.startswith(b"\x89PNG")


def test_the_compiler_makes_a_program(tmp_path: Path) -> None:
    write_sources(tmp_path)
    source = (tmp_path / "hello.say").read_bytes()
    made = subprocess.run(
        ["perl", str(tmp_path / "compile")], input=source, capture_output=True, check=True
    )
    program = tmp_path / "hello"
    program.write_bytes(made.stdout)
    program.chmod(0o755)
    ran = subprocess.run([str(program)], capture_output=True, check=True)
    assert ran.stdout == source.replace(b"say ", b"")


def test_a_folder_is_served_until_it_is_closed(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("here")
    server = WebFolder(str(tmp_path))
    with urllib.request.urlopen(f"{server.url}/page") as answer:
        assert answer.read() == b"here"
    server.close()
    server.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{server.url}/page")


def test_a_server_that_nobody_has_any_more_is_ended(tmp_path: Path) -> None:
    url = WebFolder(str(tmp_path)).url
    gc.collect()
    with pytest.raises(OSError):
        urllib.request.urlopen(url)


def test_whether_somebody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert far_build.is_reachable("127.0.0.1", port)
    assert not far_build.is_reachable("127.0.0.1", port)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """golang is not here, and a registry answers."""
    monkeypatch.setattr(far_build, "missing_of", lambda names: ["golang"])
    monkeypatch.setattr(far_build, "is_reachable", lambda: True)
    return monkeypatch


def test_a_far_build_is_not_tried_where_nobody_answers(far: pytest.MonkeyPatch) -> None:
    far.setattr(far_build, "is_reachable", lambda: False)
    far.delattr(subprocess, "run")
    assert far_build.far_build("folder", "tag", ["golang"]).startswith("Not tried: golang would")


@pytest.mark.parametrize(
    ("code", "printed", "said"),
    [
        (0, "sha256:12\n", "Built: sha256:12"),
        (1, "labkit: no go.mod\n", "It does not build any more: no go.mod"),
    ],
)
def test_what_came_of_a_far_build(
    far: pytest.MonkeyPatch, code: int, printed: str, said: str
) -> None:
    done = SimpleNamespace(returncode=code, stdout=printed)
    far.setattr(subprocess, "run", lambda *_, **__: done)
    assert far_build.far_build("folder", "tag", ["golang"]) == said


def test_a_far_build_has_a_limit(far: pytest.MonkeyPatch) -> None:
    def run(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("build", timeout)

    far.setattr(subprocess, "run", run)
    assert far_build.far_build("folder", "tag", [], limit_s=3).startswith("Ended after 3 s")
