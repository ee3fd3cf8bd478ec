"""Time of which a busy machine takes none away: a submission's, or that of a judge that waits.

A second of the wall clock counts as far as a submission used a processor, or could have had one: a
processor was idle (proc(5), /proc/stat).  So a cell that waits ends after its seconds, and so does
one that computes; one that is kept from computing by other programs has more of the wall clock, but
at most `PATIENCE` times its seconds.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")
PATIENCE, JUDGES_PATIENCE = 8.0, 2.0


class Clock:
    """`used_s` returns the seconds of processors that the submission has used."""

    def __init__(
        self,
        used_s: Callable[[], float],
        idle_s: Callable[[], float] | None = None,
        wall_s: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._sources = (wall_s, idle_s or idle, used_s)
        self._patience = patience
        self._now = 0.0
        self._last = self._read()

    def now(self) -> float:
        """Return the submission's time in seconds; it begins at 0 and never goes back."""
        read = self._read()
        wall, idle_part, used = (
            max(0.0, new - old) for new, old in zip(read, self._last, strict=True)
        )
        self._last = read
        self._now += max(min(wall, max(idle_part, used)), wall / self._patience)
        return self._now

    def is_busy_in(self, step: Callable[[], ResultT]) -> tuple[ResultT, bool]:
        """Do a step: its result, and whether most of its time did not count."""
        begin, wall = self.now(), self._last[0]
        result = step()
        return result, self.now() - begin < (self._last[0] - wall) / 2

    def _read(self) -> tuple[float, ...]:
        return tuple(source() for source in self._sources)


def waiting() -> Clock:
    """A clock from now on for a judge that waits for others: it uses no processor itself."""
    return Clock(lambda: 0.0, patience=JUDGES_PATIENCE)


def idle() -> float:
    """Return the seconds that this machine's processors were idle since its start, together."""
    with open("/proc/stat") as file:
        fields = file.readline().split()
    return int(fields[4]) / os.sysconf("SC_CLK_TCK")
