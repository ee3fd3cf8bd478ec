"""Reading several meters at once, and choosing the window for their comparison.

The scheduler is fair over time, not at every moment.  If the machine pauses for a moment (a busy
laptop, a virtual machine whose host has other work), the running container is charged for the
whole pause, and the others get their part back afterwards.  A window that begins or ends inside
such a debt has an error: half a second of pause in six seconds is 15 %.
So the window begins and ends at moments when the division is as usual in this run.  Everything
between counts, including pauses and repayments.

"Usual" is the run's own median, not the expectation: an experiment with an unexpected result is
measured equally well.
"""

import time
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from labkit.course.limits.cpu_files import NS_PER_S, CpuMeter
from labkit.course.limits.cpu_result import Sample, expected_parts
from labkit.errors import LabkitError

SETTLE_S = 1.0
"""The scheduler's load averages halve every 32 ms (PELT): after a second they no longer contain
the start."""
RUNNING_NS = 100_000_000
"""A container that has used this much CPU time has started and is in its busy loop."""
START_TIMEOUT_S = 90.0
SIMULTANEOUS_NS = 1_000_000
"""A reading of all meters that took longer was interrupted, and is repeated."""
ATTEMPTS = 8
CALM_INTERVALS = 2
"""After this many usual intervals in a row no debt is left: the first may contain its end."""
USUAL = 0.25
"""A part that differs from its median by no more than this is usual…"""
TURN_S = 0.010
"""… and so is one that differs by one or two turns at the CPU, which take 3 to 4 ms each."""
USUAL_SUM = (0.75, 1.33)
"""The usual sum, as a part of its median: below, time is not charged yet; above, it was late."""
PATIENCE = 2.0
"""If no calm window is found in this multiple of its length, everything measured counts."""


class Reading(NamedTuple):
    """All meters at (nearly) one moment, in nanoseconds."""

    time_ns: int
    cpu_ns: tuple[int, ...]


def wait_until_busy(meters: Sequence[CpuMeter], timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait until every container has got CPU time while all the others were running too."""
    begun = [meter.cpu_ns() for meter in meters]
    deadline = time.monotonic() + timeout_s
    while any(
        meter.cpu_ns() - start < RUNNING_NS for meter, start in zip(meters, begun, strict=True)
    ):
        if time.monotonic() > deadline:
            raise LabkitError(
                f"not all containers were running after {timeout_s:.0f} s: something on this "
                "machine takes the whole CPU; try again, or another `cpu=`"
            )
        time.sleep(0.05)


def measure(meters: Sequence[CpuMeter], seconds: float, interval_s: float) -> tuple[Sample, ...]:
    """Read all meters every `interval_s`, until there is a calm window of at least `seconds`."""
    readings = [read_together(meters)]
    last_ns = readings[0].time_ns + int((SETTLE_S + PATIENCE * seconds) * NS_PER_S)
    while True:
        due_ns = readings[-1].time_ns + int(interval_s * NS_PER_S)
        time.sleep(max(0, due_ns - time.monotonic_ns()) / NS_PER_S)
        readings.append(read_together(meters))
        window = calm_window(readings, seconds)
        if window:
            return _samples(window)
        if readings[-1].time_ns > last_ns:
            return _samples(_settled(readings))


def calm_window(readings: Sequence[Reading], seconds: float) -> Sequence[Reading]:
    """The readings from the first calm one to the last reading.

    Empty if the last reading is not calm, or is less than `seconds` after the first calm one.
    """
    calm = _calm(_settled(readings))
    if not calm or calm[-1] is not readings[-1]:
        return ()
    if calm[-1].time_ns - calm[0].time_ns < seconds * NS_PER_S:
        return ()
    return readings[readings.index(calm[0]) :]


def _settled(readings: Sequence[Reading]) -> Sequence[Reading]:
    begin_ns = readings[0].time_ns + SETTLE_S * NS_PER_S
    return [reading for reading in readings if reading.time_ns >= begin_ns] or readings[-1:]


def _calm(readings: Sequence[Reading]) -> list[Reading]:
    """The readings before which the CPU was divided as usual for a while."""
    used = [
        [now - then for now, then in zip(after.cpu_ns, before.cpu_ns, strict=True)]
        for before, after in pairwise(readings)
    ]
    running = [one for one in used if sum(one)]
    if not running:
        return []
    usual_parts = [median(parts) for parts in zip(*map(expected_parts, running), strict=True)]
    usual_sum = median(map(sum, running))
    is_usual = [_is_usual(one, usual_parts, usual_sum) for one in used]
    return [
        reading
        for at, reading in enumerate(readings)
        if at >= CALM_INTERVALS and all(is_usual[at - CALM_INTERVALS : at])
    ]


def _is_usual(used: Sequence[int], usual_parts: Sequence[float], usual_sum: float) -> bool:
    together = sum(used)
    if not USUAL_SUM[0] * usual_sum <= together <= USUAL_SUM[1] * usual_sum:
        return False
    turn = TURN_S * NS_PER_S / together
    return all(
        abs(part - usual) <= max(USUAL * usual, turn)
        for part, usual in zip(expected_parts(used), usual_parts, strict=True)
    )


def _samples(readings: Sequence[Reading]) -> tuple[Sample, ...]:
    first = readings[0]
    return tuple(
        Sample(
            (reading.time_ns - first.time_ns) / NS_PER_S,
            tuple(
                (now - then) / NS_PER_S
                for now, then in zip(reading.cpu_ns, first.cpu_ns, strict=True)
            ),
        )
        for reading in readings
    )


def read_together(meters: Sequence[CpuMeter]) -> Reading:
    """Read every meter; of several tries the quickest one counts."""
    best_took_ns, best = 0, Reading(0, ())
    for _ in range(ATTEMPTS):
        before_ns = time.monotonic_ns()
        values = tuple(meter.cpu_ns() for meter in meters)
        took_ns = time.monotonic_ns() - before_ns
        if not best.cpu_ns or took_ns < best_took_ns:
            best_took_ns, best = took_ns, Reading(before_ns + took_ns // 2, values)
        if took_ns <= SIMULTANEOUS_NS:
            break
    return best
