"""Reading a container's log, also while it is being written."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import msgspec

from labkit.containers.inside.log_changes import POLL_S, WATCHES
from labkit.dialect.moments import unix_s
from labkit.dialect.unreadable import UNREADABLE

LOOK_AFTER_S = 1.0
"""How often a follower of a silent log checks whether its container still runs."""
BLOCK_BYTES = 64 * 1024
"""How much is read at once from the end of a log."""


IsRunning = Callable[[], bool]


class LogLine(NamedTuple):
    """One piece of output: a line with its newline, or a part of a very long line."""

    stream: str
    """`stdout` or `stderr`."""
    time: str
    """RFC 3339 with nanoseconds, UTC."""
    text: bytes


class _Entry(msgspec.Struct):
    log: str
    stream: str
    time: str


_decoder = msgspec.json.Decoder(_Entry)


def read(
    path: str,
    *,
    streams: set[str],
    since: float = 0.0,
    until: float = 0.0,
    tail: int | None = None,
    is_running: Callable[[], bool] | None = None,
) -> Iterator[LogLine]:
    """Yield the lines from `since` to `until` (Unix time; 0 means no bound), the last `tail` ones.

    With `is_running` the log is followed: new lines are yielded as they are written, until the
    function returns False.
    """
    files = _open_all(path)
    if not files:
        return
    newest = files[-1]

    def is_wanted(line: LogLine) -> bool:
        return line.stream in streams and unix_s(line.time) >= since

    with contextlib.ExitStack() as stack:
        for file in files:
            stack.enter_context(file)
        if tail is not None:
            files = _last(files, tail, is_wanted)
        for line in (line for file in files for line in _parse(_complete_lines(file))):
            if until and unix_s(line.time) > until:
                return
            if is_wanted(line):
                yield line
        if is_running is None:
            return
        for line in _parse(_follow(path, newest, is_running)):
            if until and unix_s(line.time) > until:
                return
            if is_wanted(line):
                yield line


class Position(NamedTuple):
    """A place in the log: one of its files, kept open so that its inode number is not reused."""

    file: BinaryIO
    size: int
    """The number of bytes before the place; they are whole lines."""

    def is_same(self, other: "Position | None") -> bool:
        """Whether both are the same place."""
        return other is not None and (_identity(self.file), self.size) == (
            _identity(other.file),
            other.size,
        )


def read_between(
    path: str, begin: Position | None, end: Position, streams: set[str]
) -> Iterator[LogLine]:
    """Yield the log's lines from `begin`, or from the first, to `end`.

    Lines of files that the rotation has removed since are left out, except those in `end.file`.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(file) for file in _open_all(path)]
        identities = [_identity(file) for file in files]
        own = _identity(end.file)
        chosen = [*files[: identities.index(own) if own in identities else 0], end.file]
        if begin is not None and _identity(begin.file) in (*identities, own):
            while _identity(chosen[0]) != _identity(begin.file):
                del chosen[0]
            chosen[0].seek(begin.size)
        for file in chosen:
            for line in _parse(_complete_lines(file, end.size if file is end.file else None)):
                if line.stream in streams:
                    yield line


def _listed(path: str) -> list[tuple[str, int]]:
    """Names and inode numbers of the log's files, the newest first: x.log, x.log.1, x.log.2."""
    folder, own_name = os.path.split(path)
    found = []
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:  # the container has been removed
        return []
    for entry in entries:
        number = entry.name.removeprefix(f"{own_name}.")
        if entry.name == own_name:
            found.append((0, entry.path, entry.inode()))
        elif number != entry.name and number.isdigit():
            found.append((int(number), entry.path, entry.inode()))
    return [(name, inode) for _, name, inode in sorted(found)]


def _open_all(path: str) -> list[BinaryIO]:
    """Open the log's files, the oldest first: all files of one moment.

    The shim may be renaming them, so one could be missed or opened twice.  The result is valid if
    the list is the same before and after.
    """
    before = _listed(path)
    while True:
        files: list[BinaryIO] = []
        for name, _ in reversed(before):
            with contextlib.suppress(FileNotFoundError):
                files.append(open(name, "rb"))
        after = _listed(path)
        if before == after and [_identity(file) for file in reversed(files)] == [
            inode for _, inode in before
        ]:
            return files
        for file in files:
            file.close()
        before = after


def _identity(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino


def _after(path: str, file: BinaryIO) -> BinaryIO | None:
    """The file that follows this one in the log; None if this is the one that is being written.

    If this file was removed already, the oldest file that is left is returned.
    """
    files = _open_all(path)
    identities = [_identity(candidate) for candidate in files]
    at = identities.index(_identity(file)) if _identity(file) in identities else -1
    newer = files[at + 1] if at + 1 < len(files) else None
    for candidate in files:
        if candidate is not newer:
            candidate.close()
    return newer


def _complete_lines(file: BinaryIO, end: int | None = None) -> Iterator[bytes]:
    """The complete lines; the position stays before an incomplete one.

    They end at `end`, in bytes, if it is given.
    """
    while end is None or file.tell() < end:
        position = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(position)
            return
        yield line


def _last(
    files: Sequence[BinaryIO], number: int, is_wanted: Callable[[LogLine], bool]
) -> list[BinaryIO]:
    """The files that hold the last `number` wanted lines, each positioned at the first of them."""
    missing = number
    for index in range(len(files) - 1, -1, -1):
        file = files[index]
        for position, line in _lines_backwards(file):
            file.seek(position + len(line))
            if missing <= 0:
                return list(files[index:])
            missing -= any(is_wanted(one) for one in _parse(iter([line])))
        file.seek(0)
    return list(files)


def _lines_backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The complete lines with their positions in bytes, the last one first."""
    position = file.seek(0, os.SEEK_END)
    rest = b""  # the end of a line whose beginning has not been read yet
    is_whole = False  # whether a newline follows `rest`
    while position:
        size = min(BLOCK_BYTES, position)
        position -= size
        file.seek(position)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        end = position + len(rest) + sum(map(len, lines)) + len(lines)
        for number, line in enumerate(reversed(lines)):
            end -= len(line) + 1
            if number or is_whole:
                yield end + 1, line + b"\n"
        is_whole = is_whole or bool(lines)
    if is_whole:
        yield 0, rest + b"\n"


def _follow(path: str, file: BinaryIO, is_running: Callable[[], bool]) -> Iterator[bytes]:
    """Yield new lines as they are written, also from the next files when one is full."""
    with contextlib.ExitStack() as stack:
        change = stack.enter_context(WATCHES.of(os.path.dirname(path)))
        changed, silence_s = True, POLL_S
        while True:
            # Asked before reading, so that this reads everything printed before the end.
            running = is_running()
            newer = _after(path, file) if changed or not running else None
            yield from _complete_lines(file)
            if newer is not None:
                file = stack.enter_context(newer)
                continue
            if not running:
                return
            # The daemon learns of a container's end a moment after the last line is written.
            changed = change.wait(silence_s)
            silence_s = POLL_S if changed else min(2 * silence_s, LOOK_AFTER_S)


def _parse(lines: Iterator[bytes]) -> Iterator[LogLine]:
    for line in lines:
        try:
            entry = _decoder.decode(line)
        except UNREADABLE:
            continue  # half-written when the machine crashed
        yield LogLine(entry.stream, entry.time, entry.log.encode())
