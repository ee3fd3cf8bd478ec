"""Writing a container's output to ours, byte for byte."""

import os
import select

from labkit.cli.base.errors import say
from labkit.dialect.frames import STDERR, STDOUT


def write(stream: int, data: bytes) -> None:
    """Write all of it to our stdout or stderr; an error of the engine in between is said as one.

    Written past Python's buffers, so that nothing waits in them, and also to a terminal or pipe
    that someone has made non-blocking.
    """
    if stream not in (STDOUT, STDERR):
        say(data.decode("utf-8", "replace"))
        return
    while data:
        try:
            data = data[os.write(stream, data) :]
        except BlockingIOError:
            select.select([], [stream], [])
