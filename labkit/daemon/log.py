"""The daemon's log: one line an event, on standard error, with the time in UTC."""

import sys
import time
from traceback import format_exc


def line(text: str) -> None:
    """Write one line."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp} labkitd: {text}\n")
    sys.stderr.flush()


def traceback(text: str) -> None:
    """Write one line and the exception that is being handled: a defect of labkit's own."""
    line(f"{text}\n{format_exc().rstrip()}")
