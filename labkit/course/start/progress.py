"""The cells that a learner has run, in `progress.json` beside the predictions.

Two kernels may write at once: a lock on a file beside it orders them, and a new version replaces
the old one whole.  A damaged file is set aside, not deleted.  A file of a later labkit is never
written.  A failure to write never disturbs the page: the cells are kept in memory, and written with
the next one.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from labkit.course.page import answers
from labkit.errors import LabkitError

VERSION = 1
LOCK_TIMEOUT_S = 1.0


class LaterVersionError(LabkitError):
    """The file was written by a later labkit."""


class Progress(msgspec.Struct):
    """The cells that have run, by chapter ("09"), and the last of them (chapter and cell)."""

    version: int = VERSION
    cells: dict[str, list[str]] = {}
    last: tuple[str, str] | None = None

    def has(self, chapter: str, cell: str) -> bool:
        """Whether a cell has run."""
        return cell in self.cells.get(chapter, ())

    def add(self, chapter: str, cell: str) -> None:
        """Note a cell as the last one."""
        ran = self.cells.setdefault(chapter, [])
        if cell not in ran:
            ran.append(cell)
        self.last = (chapter, cell)


class _Version(msgspec.Struct):
    version: int


def path() -> str:
    """The path of the file."""
    return os.path.join(os.path.dirname(answers.path()), "progress.json")


def load() -> Progress:
    """The progress so far; empty for no file, a damaged one, and one that cannot be read.

    Raises LaterVersionError.
    """
    try:
        return _read()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Progress()


class Recorder:
    """Writes cells to the file; those that could not be written wait for the next call."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []

    def note(self, chapter: str, cell: str) -> bool:
        """Note that a cell has run; whether it is in the file now."""
        if (chapter, cell) in self._waiting:
            self._waiting.remove((chapter, cell))
        self._waiting.append((chapter, cell))
        try:
            os.makedirs(os.path.dirname(path()), mode=0o700, exist_ok=True)
            with _locked():
                self._write()
        except (OSError, LaterVersionError):
            return False
        self._waiting.clear()
        return True

    def _write(self) -> None:
        try:
            kept = _read()
        except FileNotFoundError:
            kept = Progress()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            os.replace(path(), f"{path()}.damaged")
            kept = Progress()
        for chapter, cell in self._waiting:
            kept.add(chapter, cell)
        folder = os.path.dirname(path())
        with tempfile.NamedTemporaryFile("wb", dir=folder, delete=False) as file:
            try:
                file.write(msgspec.json.format(msgspec.json.encode(kept), indent=1))
                file.flush()
                os.replace(file.name, path())
            except OSError:
                with suppress(OSError):
                    os.unlink(file.name)
                raise


def _read() -> Progress:
    with open(path(), "rb") as file:
        data = file.read()
    if msgspec.json.decode(data, type=_Version).version > VERSION:
        raise LaterVersionError(f"{path()} was written by a later labkit: this one leaves it alone")
    return msgspec.json.decode(data, type=Progress)


@contextmanager
def _locked() -> Iterator[None]:
    """Hold the lock; TimeoutError if another process holds it for too long."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    with open(f"{path()}.lock", "wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path()} is locked") from None
                time.sleep(0.02)
        yield
