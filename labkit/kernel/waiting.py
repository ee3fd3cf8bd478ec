"""Waiting for a helper process, for as long as the client that wants its work is there."""

import os
import select
import subprocess

from labkit.kernel import threads

LOOK_S = 0.5
"""How often a thread that waits looks whether its caller has left."""


def feed(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data` to a pipe that does not block.

    BrokenPipeError if the process has ended, ConnectionAbortedError if the caller has left.
    """
    threads.check_caller()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            _wait(fd, select.POLLOUT)


def until_readable(fd: int) -> None:
    """Wait until there is something to read, or the end; ConnectionAbortedError."""
    _wait(fd, select.POLLIN)


def until_ended(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    """What is left of a process's output and of its errors; ConnectionAbortedError."""
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
