"""The output of a machine's serial console, with the time of each stage."""

import os
import selectors
import time
from typing import IO

from labkit.errors import LabkitError

MOMENTS = (
    ("kernel", b"Linux version "),
    ("first process", b"labkit: first process"),
    ("ready", b"labkit: ready "),
)
"""The stages and their texts on the console, in this order."""

LAST_LINES = 8


class MachineError(LabkitError):
    """The virtual machine did not start: it took too long (`late`), or it ended."""

    def __init__(self, lines: list[str], timeout_s: float, *, late: bool) -> None:
        """`lines` are the last ones of the console."""
        what = f"is not ready after {timeout_s:g} s" if late else "has ended before it was ready"
        super().__init__("\n".join([f"the virtual machine {what}; its last lines:", *lines]))
        self.lines = lines
        self.late = late


def listen(
    console: IO[bytes], begin: float, timeout_s: float, last: str = MOMENTS[-1][0]
) -> tuple[dict[str, float], str]:
    """Read up to the stage `last`; return the seconds of each since `begin`, and its line.

    Raises `MachineError` if the machine ends before that, or `timeout_s` have passed.
    """
    moments: dict[str, float] = {}
    mark = dict(MOMENTS)[last]
    seen = b""
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        while b"\n" not in seen.partition(mark)[2]:
            left_s = begin + timeout_s - time.monotonic()
            said_something = selector.select(max(0.0, left_s))
            data = os.read(console.fileno(), 65536) if said_something else b""
            now = time.monotonic()
            if not data:
                raise MachineError(_last_lines(seen), timeout_s, late=not said_something)
            seen += data
            for name, words in MOMENTS:
                if name not in moments and words in seen:
                    moments[name] = now - begin
    line = seen.partition(mark)[2].partition(b"\n")[0]
    return moments, line.decode(errors="replace").rstrip()


def _last_lines(seen: bytes) -> list[str]:
    return [line for line in seen.decode(errors="replace").splitlines() if line.strip()][
        -LAST_LINES:
    ]
