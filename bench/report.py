"""The results as tables: one text for the terminal and for RESULTS.md."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench import statistics
from bench.memory import Memory
from bench.steps import StepTime

MILLISECOND = 1e-3
MEBIBYTE = 1 << 20


class Aim(NamedTuple):
    """A ratio of medians that must not be exceeded."""

    ours: str
    theirs: str
    at_most: float


class RateAim(NamedTuple):
    """An engine that must be at least so many times as fast as another."""

    ours: str
    theirs: str
    at_least: float


class Usage(NamedTuple):
    """The memory of an engine's processes: their kind, their name, and each one's memory."""

    kind: str
    what: str
    each: Memory
    sample: Sequence[int] = ()
    """Each one's proportional share alone, if there are several."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns; all but the first are numbers."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]

    def text(line: Sequence[str]) -> str:
        first, *rest = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return "| " + " | ".join(cells) + " |"

    rules = [
        "-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths)
    ]
    return "\n".join([text(header), f"|{'|'.join(rules)}|", *map(text, rows)])


def times(measured: Mapping[str, Sequence[float]]) -> str:
    """Return every peer's median and quartiles."""
    rows = []
    for name, sample in measured.items():
        values = (value / MILLISECOND for value in statistics.summary(sample))
        rows.append([name, *(f"{value:.1f}" for value in values), str(len(sample))])
    return table(["", "median ms", "lower quartile", "upper quartile", "runs"], rows)


def ratios(measured: Mapping[str, Sequence[float]], aims: Sequence[Aim]) -> str:
    """Return every aim: the ratio, its interval, and whether it is met."""
    rows = []
    for aim in aims:
        name = f"{aim.ours} / {aim.theirs}"
        if aim.ours in measured and aim.theirs in measured:
            ratio = statistics.ratio(measured[aim.ours], measured[aim.theirs])
            interval = f"{ratio.low:.2f} to {ratio.high:.2f}"
            rows.append([name, f"{ratio.value:.2f}", interval, _aim(aim), _verdict(ratio, aim)])
        else:
            rows.append([name, "", "", _aim(aim), "not measured"])
    return table(["", "ratio", "95 % interval", "aim", ""], rows)


def rates(measured: Mapping[str, Sequence[float]], count: int, unit: str) -> str:
    """Return every peer's rate per second, from the times for `count` operations."""
    rows = []
    for name, sample in measured.items():
        # The quartiles change places: the shortest time is the highest rate.
        median, slow, fast = (count / value for value in statistics.summary(sample))
        rows.append([name, f"{median:.1f}", f"{fast:.1f}", f"{slow:.1f}", str(len(sample))])
    return table(["", unit, "lower quartile", "upper quartile", "runs"], rows)


def rate_ratios(measured: Mapping[str, Sequence[float]], aims: Sequence[RateAim]) -> str:
    """Return the ratios of the rates, and whether each meets its aim."""
    rows = []
    for aim in aims:
        name, wanted = f"{aim.ours} / {aim.theirs}", f"at least {aim.at_least:g}"
        if not {aim.ours, aim.theirs} <= measured.keys():
            rows.append([name, "", "", wanted, "not measured"])
            continue
        # The ratio of the rates is the inverse of the ratio of the times for a fixed number.
        found = statistics.ratio(measured[aim.theirs], measured[aim.ours])
        verdict = "met" if found.value >= aim.at_least else "missed"
        if found.low < aim.at_least <= found.high:
            verdict = f"{verdict}, barely"
        interval = f"{found.low:.2f} to {found.high:.2f}"
        rows.append([name, f"{found.value:.2f}", interval, wanted, verdict])
    return table(["", "ratio", "95 % interval", "aim", ""], rows)


def _aim(aim: Aim) -> str:
    return f"at most {aim.at_most:g}"


def _verdict(ratio: statistics.Ratio, aim: Aim) -> str:
    verdict = "met" if ratio.value <= aim.at_most else "missed"
    return verdict if ratio.high <= aim.at_most or ratio.low > aim.at_most else f"{verdict}, barely"


def memory(usages: Sequence[Usage]) -> str:
    """Return every process's memory."""
    rows = [[usage.what, *(f"{value / MEBIBYTE:.1f}" for value in usage.each)] for usage in usages]
    return table(["", "resident MiB", "proportional MiB", "private MiB"], rows)


def peaks(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    """Return every daemon's peak before and after, and its growth."""
    rows = []
    for name, value in before.items():
        values = (value, after[name], after[name] - value)
        rows.append([name, *(f"{each / MEBIBYTE:.1f}" for each in values)])
    return table(["", "MiB before", "MiB after", "grew by"], rows)


def steps(measured: Sequence[StepTime]) -> str:
    """Return every step's median, and the sum."""
    rows = [
        [f"{step.phase}: {step.name}", str(step.operations), f"{step.duration_us:.0f}"]
        for step in measured
    ]
    total = sum(step.duration_us for step in measured)
    rows.append(["together", str(sum(step.operations for step in measured)), f"{total:.0f}"])
    return table(["", "operations", "median µs"], rows)
