"""Reading a container's log, also while it is being written."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import msgspec

from labkit.containers.times import unix_time

POLL_S = 0.05


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
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return
    with file:
        present = _parse(_complete_lines(file))
        chosen = (
            line for line in present if line.stream in streams and unix_time(line.time) >= since
        )
        for line in chosen if tail is None else deque(chosen, maxlen=tail):
            if until and unix_time(line.time) > until:
                return
            yield line
        if is_running is None:
            return
        for line in _parse(_follow(file, is_running)):
            if until and unix_time(line.time) > until:
                return
            if line.stream in streams:
                yield line


def _complete_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines that are wholly written; the position stays before one that is not."""
    while True:
        position = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(position)
            return
        yield line


def _follow(file: BinaryIO, is_running: Callable[[], bool]) -> Iterator[bytes]:
    while True:
        # Asked before reading: what was printed before the end is read after this answer.
        running = is_running()
        yield from _complete_lines(file)
        if not running:
            return
        time.sleep(POLL_S)


def _parse(lines: Iterator[bytes]) -> Iterator[LogLine]:
    for line in lines:
        entry = _decoder.decode(line)
        yield LogLine(entry.stream, entry.time, entry.log.encode())
