"""A server's log: one line an event, on standard error, with the time in UTC."""

import sys
import threading
import time
from contextlib import suppress
from traceback import format_exception
from types import TracebackType


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

    def defect(self, text: str, error: BaseException) -> None:
        """Write one line, and below it the traceback of an exception, a defect of labkit."""
        self.line(f"{text}\n{''.join(format_exception(error)).rstrip()}")

    def take_unhandled(self) -> None:
        """Write the exceptions that no code handles to this log from now on, in every thread.

        Code that must go on after a defect calls `sys.excepthook`, and so writes here, too.
        """

        def report(
            _: type[BaseException], error: BaseException, __: TracebackType | None = None
        ) -> None:
            self.defect("an unexpected error, a defect of labkit", error)

        def report_thread(unhandled: threading.ExceptHookArgs) -> None:
            if unhandled.exc_value is not None:
                report(unhandled.exc_type, unhandled.exc_value)

        sys.excepthook, threading.excepthook = report, report_thread


LABKITD = Log("labkitd")
"""The log of the daemon, for all packages that work in it."""
