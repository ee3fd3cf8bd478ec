"""The daemon's log has one format, and all code that works in labkitd writes to it."""

import ast
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.log import LABKITD

PACKAGE = Path(__file__).parents[2] / "labkit"

OTHERS = {
    "cli": "the command: its standard error is the user's",
    "course": "the notebooks, and the judges' processes",
    "doctor/__main__.py": "a command",
    "images/base/__main__.py": "a command",
    "rootless/__main__.py": "a command",
    "daemon/__main__.py": "the message of a labkitd that cannot start; --validate",
    "registry/server/serving.py": "the first lines of `labkit registry serve`",
    "registry/server/certificates.py": "the command that starts the registry",
    "images/archives": "the processes that pack and unpack: the pipe has their result",
    "log.py": "the log itself",
}
"""The code that may write to a standard stream itself, and why."""

HEAD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ labkitd: ")


def raw_writes(path: Path) -> Iterator[int]:
    """The lines of a file that print, or write to a standard stream."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "traceback.print_exc") or re.fullmatch(
                r"sys\.std(out|err)\.write(lines)?", called
            ):
                yield node.lineno


def test_no_package_of_the_daemon_writes_beside_the_log() -> None:
    found = [
        f"{name}:{line}"
        for path in PACKAGE.rglob("*.py")
        if not (name := str(path.relative_to(PACKAGE))).startswith(tuple(OTHERS))
        for line in raw_writes(path)
    ]
    assert not found


@pytest.mark.parametrize("name", OTHERS)
def test_each_exception_is_needed(name: str) -> None:
    path = PACKAGE / name
    files = [path] if path.is_file() else list(path.rglob("*.py"))
    assert any("sys.stderr" in file.read_text() or list(raw_writes(file)) for file in files)


def fail() -> None:
    raise ValueError("a defect")


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    LABKITD.take_unhandled()


@pytest.mark.usefixtures("taken")
def test_an_exception_that_a_service_survives_is_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        fail()
    except ValueError as error:
        error.add_note("the thread 'names' failed and is started again")
        sys.excepthook(*sys.exc_info())
    said = capsys.readouterr().err
    assert HEAD.match(said)
    assert "ValueError: a defect\nthe thread 'names' failed" in said


@pytest.mark.usefixtures("taken")
def test_an_exception_that_ends_a_thread_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(10)
    said = capsys.readouterr().err
    assert HEAD.match(said)
    assert "ValueError: a defect" in said
