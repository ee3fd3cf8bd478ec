"""Waits for a helper process that end when the client of its work disconnects."""

import fcntl
import os
import select
import subprocess
from contextlib import suppress

from labkit.kernel import threads

LOOK_S = 0.5
"""How often a waiting thread checks whether its client has disconnected."""
PIPE_BYTES = 1 << 20
"""The most that a pipe may hold without privileges, by default (pipe(7), pipe-max-size)."""


def widen(*pipes: int) -> None:
    """Let pipes hold more than 64 KiB, if the kernel allows it.

    Each time that a pipe is full its writer waits for the reader's turn.  On a busy machine these
    turns took nine tenths of the time that 10 MB needed.
    """
    for pipe in pipes:
        with suppress(OSError):  # a user without privileges may have so many pages of pipes only
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def feed(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data` to a non-blocking pipe.

    BrokenPipeError if the process has ended, ConnectionAbortedError if the client disconnected.
    """
    threads.check_caller()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT)


def until_readable(fd: int) -> None:
    """Wait for input, or for its end; ConnectionAbortedError."""
    _wait(fd, select.POLLIN)


def until_ended(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    """Return the rest of a process's output and of its errors; ConnectionAbortedError."""
    while True:
        try:
            return process.communicate(timeout=LOOK_S)
        except subprocess.TimeoutExpired:
            threads.check_caller()


def _wait(fd: int, events: int) -> None:
    poll = select.poll()
    poll.register(fd, events)
    while not poll.poll(LOOK_S * 1000):
        threads.check_caller()
