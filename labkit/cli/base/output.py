"""Writing a container's output to the command's output, byte for byte."""

import os
import select

from labkit.cli.base.errors import say
from labkit.dialect.frames import STDERR, STDOUT


def write(stream: int, data: bytes) -> None:
    """Write all of it to stdout or stderr; another stream is an error of the engine to report.

    This bypasses Python's buffers, so that no output waits in them, and works on a terminal or pipe
    that another process has made non-blocking.
    """
    if stream not in (STDOUT, STDERR):
        say(data.decode("utf-8", "replace"))
        return
    while data:
        try:
            data = data[os.write(stream, data) :]
        except BlockingIOError:
            select.select([], [stream], [])
