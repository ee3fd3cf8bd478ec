"""The time of a start: the median of each step of the plan."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class StepTime(NamedTuple):
    """All operations of one step in one phase: their number, and the median of their total time."""

    phase: str
    name: str
    operations: int
    duration_us: float


def medians(explain: Callable[[], list[dict[str, Any]]], rounds: int) -> list[StepTime]:
    """Explain a start so many times; return each step's median, in the order of the plan."""
    starts = [_totals_us(explain()) for _ in range(rounds)]
    return [
        StepTime(phase, name, count, statistics.median(start[phase, name][1] for start in starts))
        for (phase, name), (count, _) in starts[0].items()
    ]


def _totals_us(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, float]]:
    totals: dict[tuple[str, str], tuple[int, float]] = {}
    for row in rows:
        key = row["Phase"], row["Step"].partition(".")[0]
        count, duration_us = totals.get(key, (0, 0.0))
        totals[key] = count + 1, duration_us + row["DurationNs"] / 1000
    return totals
