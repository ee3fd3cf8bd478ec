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
"""How often a follower of a silent log asks whether its container still runs."""
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
    """The log's lines from `since` to `until` (Unix time; 0 means no bound), the last `tail` ones.

    With `is_running` the log is followed: new lines are given as they come, until the function says
    that the container has ended.
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
    """A place in the log: a file of it, held open so that no other can get its number."""

    file: BinaryIO
    size: int
    """The bytes before it: whole lines."""

    def is_same(self, other: "Position | None") -> bool:
        """Whether both are one place."""
        return other is not None and (_identity(self.file), self.size) == (
            _identity(other.file),
            other.size,
        )


def read_between(
    path: str, begin: Position | None, end: Position, streams: set[str]
) -> Iterator[LogLine]:
    """The log's lines from `begin`, or from the first, to `end`.

    What the rotation has thrown away meanwhile is left out, but for the file of `end`.
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
    """Names and identities of the log's files, the newest first: x.log, x.log.1, x.log.2."""
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
    """The log's files, the oldest first: all that there are at one moment.

    The shim may be giving them other names just now, so one can be missed or met twice; what is
    the same before and after holds.
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
    """The file that was begun after this one; None while this is the one that is written.

    When this one is gone already it is the oldest there is.
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
    """The lines that are wholly written; the position stays before one that is not.

    Up to `end`, in bytes, if there is one.
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
    """The files that hold the last `number` wanted lines, each placed where they begin."""
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
    """The wholly written lines with their positions in bytes, the last one first."""
    position = file.seek(0, os.SEEK_END)
    rest = b""  # the end of a line whose beginning is not read yet
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
    """New lines as they come, also in the files that are begun when one is full."""
    with contextlib.ExitStack() as stack:
        change = stack.enter_context(WATCHES.of(os.path.dirname(path)))
        changed, silence_s = True, POLL_S
        while True:
            # Asked before reading: what was printed before the end is read after this answer.
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
            continue  # a crash of the machine has left it half written
        yield LogLine(entry.stream, entry.time, entry.log.encode())
