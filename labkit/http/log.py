"""A server's log: one line an event, on standard error, with the time in UTC."""

import sys
import time
from contextlib import suppress
from traceback import format_exc


class Log:
    """The log of the program of this name."""

    def __init__(self, program: str) -> None:
        self._program = program

    def line(self, text: str) -> None:
        """Write one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):  # a full disk must not stop the server
            sys.stderr.write(f"{stamp} {self._program}: {text}\n")
            sys.stderr.flush()

    def traceback(self, text: str) -> None:
        """Write one line and the present exception, a defect of labkit."""
        self.line(f"{text}\n{format_exc().rstrip()}")
