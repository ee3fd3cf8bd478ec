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


class Usage(NamedTuple):
    """What an engine's processes take: what they are, and each one's memory."""

    what: str
    each: Memory


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up; all but the first are numbers."""
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
    """Every peer's median and quartiles."""
    rows = []
    for name, sample in measured.items():
        values = (value / MILLISECOND for value in statistics.summary(sample))
        rows.append([name, *(f"{value:.1f}" for value in values), str(len(sample))])
    return table(["", "median ms", "lower quartile", "upper quartile", "runs"], rows)


def ratios(measured: Mapping[str, Sequence[float]], aims: Sequence[Aim]) -> str:
    """Every aim: the ratio, its interval, and whether it is met."""
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


def _aim(aim: Aim) -> str:
    return f"at most {aim.at_most:g}"


def _verdict(ratio: statistics.Ratio, aim: Aim) -> str:
    verdict = "met" if ratio.value <= aim.at_most else "missed"
    return verdict if ratio.high <= aim.at_most or ratio.low > aim.at_most else f"{verdict}, barely"


def memory(usages: Sequence[Usage]) -> str:
    """Every process's memory."""
    rows = [[usage.what, *(f"{value / MEBIBYTE:.1f}" for value in usage.each)] for usage in usages]
    return table(["", "resident MiB", "proportional MiB", "private MiB"], rows)


def steps(measured: Sequence[StepTime]) -> str:
    """Every step's median, and all together."""
    rows = [
        [f"{step.phase}: {step.name}", str(step.operations), f"{step.duration_us:.0f}"]
        for step in measured
    ]
    total = sum(step.duration_us for step in measured)
    rows.append(["together", str(sum(step.operations for step in measured)), f"{total:.0f}"])
    return table(["", "operations", "median µs"], rows)
