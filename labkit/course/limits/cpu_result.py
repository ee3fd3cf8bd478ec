"""The result of `cpu_shares`, and the arithmetic of proportional shares.

If every container always wants the CPU, the kernel divides it in proportion to the weights:
container i gets wᵢ / Σw.  Only the proportion counts: 1024 and 512 mean the same as 2 and 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

TOLERANCE = 0.05
"""A measured proportion this close to the expected one counts as held."""
DISTURBED = 0.15
"""If other work takes a larger part of the CPU, the machine was too busy for a measurement."""


def expected_parts(weights: Sequence[float]) -> tuple[float, ...]:
    """The part of the CPU each container should get: 1024 and 512 give 2/3 and 1/3."""
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def deviation(cpu_s: Sequence[float], weights: Sequence[float]) -> float:
    """The largest difference between a measured proportion and the expected one.

    Each container is compared with the last: (cpuᵢ / cpuₙ) / (wᵢ / wₙ) − 1, with its sign.  For
    1024 and 512 that is ratio / 2 − 1.  0.0 for a single container.
    1024 and 512 that is ratio / 2 − 1.  0.0 for a container alone.
    """
    errors = [
        (cpu / cpu_s[-1]) / (weight / weights[-1]) - 1
        for cpu, weight in zip(cpu_s, weights, strict=True)
    ]
    return max(errors, key=abs)


def due_s(
    weights: Sequence[float], ceilings_s: Sequence[float], together_s: float
) -> tuple[float, ...]:
    """Each container's due part of `together_s`: by weight, but at most its ceiling.

    The others divide what a ceiling takes from one, by their weights (max-min fairness).  A ceiling
    of 0 means none.
    """
    due = [0.0] * len(weights)
    open_to = list(range(len(weights)))
    while open_to:
        parts = expected_parts([weights[at] for at in open_to])
        left_s = together_s - sum(due)
        by_weight = {at: left_s * part for at, part in zip(open_to, parts, strict=True)}
        full = [at for at in open_to if 0 < ceilings_s[at] < by_weight[at]]
        for at in full or open_to:
            due[at] = ceilings_s[at] if full else by_weight[at]
        open_to = [at for at in open_to if full and at not in full]
    return tuple(due)


def busy_words(other_work: float, cpu: int) -> str:
    """The advice for a machine whose CPU was busy with other work; empty if it was not."""
    if other_work <= DISTURBED:
        return ""
    return f"Other work took {other_work:.0%} of CPU {cpu}; run the cell again when it is calm"


@dataclass(frozen=True)
class Sample:
    """One simultaneous reading: `time_s` since the window's begin, CPU seconds used since then."""

    time_s: float
    cpu_s: tuple[float, ...]


@dataclass(frozen=True)
class HostProcess:
    """A container's busiest process as the host's `top` shows it; `percent` is of one CPU."""

    pid: int
    command: str
    percent: float


@dataclass(frozen=True)
class CpuShares:
    """The result of one run; sequences are in the order of `weights`.

    `cpu` is the number of the CPU that the containers shared.  `weight_file` is the name of the
    kernel's file for a weight, `kernel_weights` are the numbers in those files.  `ceilings` are
    `--cpus`, 0 for a container without one; empty if none has one.
    """

    weights: tuple[int, ...]
    cpu: int
    weight_file: str
    kernel_weights: tuple[int, ...]
    samples: tuple[Sample, ...]
    host: tuple[HostProcess, ...]
    ceilings: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The flags of each container."""
        ceilings = self.ceilings or (0,) * len(self.weights)
        return tuple(
            f"-c {weight}, --cpus {ceiling:g}" if ceiling else f"-c {weight}"
            for weight, ceiling in zip(self.weights, ceilings, strict=True)
        )

    @property
    def seconds(self) -> float:
        """The length of the measurement."""
        return self.samples[-1].time_s

    @property
    def cpu_s(self) -> tuple[float, ...]:
        """The CPU seconds that each container used in that time, counted by its cgroup."""
        return self.samples[-1].cpu_s

    @property
    def parts(self) -> tuple[float, ...]:
        """Each container's part of the CPU time that they used together; the sum is 1."""
        return expected_parts(self.cpu_s)

    @property
    def expected(self) -> tuple[float, ...]:
        """The expected parts, by the weights and within the ceilings, of the time used together."""
        if not self.ceilings:
            return expected_parts(self.weights)
        due = [0.0] * len(self.weights)
        for length_s, used_s in self._intervals():
            ceilings_s = [ceiling * length_s for ceiling in self.ceilings]
            for at, one_s in enumerate(due_s(self.weights, ceilings_s, sum(used_s))):
                due[at] += one_s
        return tuple(one_s / sum(self.cpu_s) for one_s in due)

    def _intervals(self) -> Iterator[tuple[float, list[float]]]:
        """The length of each interval between two samples, and each container's use in it.

        The total for all of them changes with the other work of the machine.
        """
        for before, after in pairwise(self.samples):
            used_s = [b - a for a, b in zip(before.cpu_s, after.cpu_s, strict=True)]
            yield after.time_s - before.time_s, used_s

    @property
    def ratio(self) -> float:
        """CPU time of the first container for each second of the last one's."""
        return self.cpu_s[0] / self.cpu_s[-1]

    @property
    def expected_ratio(self) -> float:
        """The expected value of that ratio."""
        return self.expected[0] / self.expected[-1]

    @property
    def deviation(self) -> float:
        """The largest relative error of a proportion, with its sign (see `deviation`).

        With ceilings it is the error of a part of the CPU time.
        """
        if not self.ceilings:
            return deviation(self.cpu_s, self.weights)
        pairs = zip(self.parts, self.expected, strict=True)
        return max((part / expected - 1 for part, expected in pairs), key=abs)

    @property
    def other_work(self) -> float:
        """The part of the CPU that the containers wanted but other work of the machine took."""
        wanted = min(1.0, sum(ceiling or 1.0 for ceiling in self.ceilings or (0.0,)))
        return max(0.0, 1 - sum(self.cpu_s) / (self.seconds * wanted))

    @property
    def warning(self) -> str:
        """The warning if the machine was too busy for these figures; empty if it was not."""
        return busy_words(self.other_work, self.cpu)

    @property
    def holds(self) -> bool:
        """Whether every proportion is within 5 % of the requested one."""
        return abs(self.deviation) <= TOLERANCE

    def parts_over_time(self) -> list[tuple[float, tuple[float, ...]]]:
        """(middle of the interval in s, each container's part) for each pair of samples."""
        points = []
        for before, after in zip(self.samples, self.samples[1:], strict=False):
            used = [b - a for a, b in zip(before.cpu_s, after.cpu_s, strict=True)]
            if sum(used) > 0:
                points.append(((before.time_s + after.time_s) / 2, expected_parts(used)))
        return points

    def of_cpu_over_time(self) -> list[tuple[float, tuple[float, ...]]]:
        """The same in parts of the CPU: a ceiling is a part of the CPU, whatever the others use."""
        ends = [sample.time_s for sample in self.samples[1:]]
        return [
            (end_s - length_s / 2, tuple(one_s / length_s for one_s in used_s))
            for end_s, (length_s, used_s) in zip(ends, self._intervals(), strict=True)
        ]

    def table(self) -> Table:
        """A row for each container: asked, expected, counted by cgroup, `top`'s view."""
        return Table(
            (
                "--cpu-shares",
                *(["--cpus"] if self.ceilings else []),
                self.weight_file,
                "expected part",
                "CPU time (s)",
                "measured part",
                "of one CPU, cgroup",
                "of one CPU, top",
                "PID on the host",
            ),
            tuple(
                (
                    str(weight),
                    *self._ceiling_cell(row),
                    str(in_file),
                    f"{expected:.1%}",
                    f"{cpu_s:.2f}",
                    f"{part:.1%}",
                    f"{cpu_s / self.seconds:.1%}",
                    f"{process.percent:.1f}%",
                    str(process.pid),
                )
                for row, weight, in_file, expected, cpu_s, part, process in zip(
                    range(len(self.weights)),
                    self.weights,
                    self.kernel_weights,
                    self.expected,
                    self.cpu_s,
                    self.parts,
                    self.host,
                    strict=True,
                )
            ),
            self.warning,
        )

    def _ceiling_cell(self, row: int) -> tuple[str, ...]:
        if not self.ceilings:
            return ()
        return (f"{self.ceilings[row]:g}" if self.ceilings[row] else "–",)

    def plot(self, guess: float | None = None) -> "Figure":
        """Draw parts over time, and the totals as bars; `guess` is a predicted first part."""
        return plot_parts(self, guess)

    def __str__(self) -> str:
        asked = " : ".join(str(weight) for weight in self.weights)
        if self.ceilings:
            each = "; ".join(
                f"{name}: {used / self.seconds:.1%} of CPU {self.cpu}"
                for name, used in zip(self.names, self.cpu_s, strict=True)
            )
            return f"{each} ({self.deviation:+.1%}){self._remark()}"
        if len(self.weights) == 1:
            return (
                f"{asked} shares, alone on CPU {self.cpu}: {self.cpu_s[0] / self.seconds:.0%} of it"
                f"{self._remark()}"
            )
        last = self.cpu_s[-1]
        measured = " : ".join([*(f"{cpu_s / last:.2f}" for cpu_s in self.cpu_s[:-1]), "1"])
        return (
            f"{asked} shares on CPU {self.cpu}: {measured} measured ({self.deviation:+.1%})"
            f"{self._remark()}"
        )

    def _remark(self) -> str:
        return f". {self.warning}" if self.warning else ""

    __repr__ = __str__


# The pictures of `cpu_shares`: parts of the CPU over time, and each container's total.


NAME_GAP = 6.5
"""Names that are closer than this, in percent of the axis, would touch."""


def plot_parts(result: CpuShares, guess: float | None) -> Figure:
    """Draw each container's part of the CPU time over time, and the CPU seconds in total.

    Dashed lines are the parts expected by the shares; `guess` (0 to 1) predicts the first part.
    """
    with style.picture(height_in=3.6) as drawing:
        over_time, in_all = drawing.subplots(1, 2, width_ratios=(5, 2.8))
        _draw_over_time(over_time, result, guess)
        _draw_in_all(in_all, result)
        note = f"other work: {result.other_work:.0%}" if result.warning else "dashed: expected"
        style.headline(drawing, _headline(result), note)
    return Figure(drawing, alt=_alt(result, guess), table=result.table())


def _draw_over_time(axes: Any, result: CpuShares, guess: float | None) -> None:
    has_ceilings = bool(result.ceilings)
    points = result.of_cpu_over_time() if has_ceilings else result.parts_over_time()
    times = [time_s for time_s, _ in points]
    end_s = result.seconds
    whole = [used_s / end_s for used_s in result.cpu_s] if has_ceilings else result.parts
    for expected in sorted(set(_due_parts(result))):
        style.expected_line(axes, 100 * expected, 0, end_s)
    if guess is not None:
        axes.plot([0, end_s], [100 * guess] * 2, color=style.GUESS, linewidth=1.4, linestyle=":")
    for number in range(len(result.weights)):
        axes.plot(
            times,
            [100 * parts[number] for _, parts in points],
            color=style.colour(number),
            linestyle=style.dash(number),
        )
    names: list[tuple[float, str, int | str]] = [
        (100 * part, f"{name.replace(', ', chr(10))}: {part:.1%}", number)
        for number, (name, part) in enumerate(zip(result.names, whole, strict=True))
    ]
    if guess is not None:
        names.append((100 * guess, f"your guess: {guess:.0%}", style.GUESS))
    gap = NAME_GAP * (2 if has_ceilings else 1)  # the names have two lines
    heights = style.spread([height for height, _, _ in names], gap)
    for height, (_, text, curve) in zip(heights, names, strict=True):
        style.name_at_end(axes, end_s, height, text, curve)
    axes.set(
        xlim=(0, end_s),
        ylim=(0, 101),
        xlabel="time (s)",
        ylabel="part of the CPU (%)" if has_ceilings else "part of the CPU time (%)",
        title="The CPU, moment by moment",
    )


def _due_parts(result: CpuShares) -> tuple[float, ...]:
    """The expected parts: of the time used together, or with ceilings of the whole CPU."""
    if not result.ceilings:
        return result.expected
    return due_s(result.weights, result.ceilings, min(1.0, sum(c or 1.0 for c in result.ceilings)))


def _draw_in_all(axes: Any, result: CpuShares) -> None:
    together_s = sum(result.cpu_s)
    rows = range(len(result.weights))
    expected_s = [part * together_s for part in result.expected]
    axes.barh(rows, result.cpu_s, height=0.62, color=[style.colour(row) for row in rows])
    for row, (cpu_s, due_s) in enumerate(zip(result.cpu_s, expected_s, strict=True)):
        axes.plot(
            [due_s, due_s],
            [row - 0.42, row + 0.42],
            color=style.QUIET,
            linewidth=1.1,
            linestyle=(0, (4, 3)),
        )
        axes.annotate(
            f"{cpu_s:.2f}",
            (max(cpu_s, due_s), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    axes.set_yticks(
        list(rows), [name.replace(", ", "\n") for name in result.names], color=style.INK
    )
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(
        xlim=(0, max(*result.cpu_s, *expected_s) * 1.35),
        ylim=(len(result.weights) - 0.4, -0.6),
        xlabel="CPU time (s)",
        title="CPU time in all",
    )


def _headline(result: CpuShares) -> str:
    if result.warning:
        return f"CPU {result.cpu} was busy with other work: run the cell again"
    if result.ceilings:
        used, ceiling = next(
            (used_s / result.seconds, ceiling)
            for used_s, ceiling in zip(result.cpu_s, result.ceilings, strict=True)
            if ceiling
        )
        return f"--cpus {ceiling:g}: {used:.0%} of the CPU used, {ceiling:.0%} allowed"
    if len(result.weights) == 1:
        return f"Alone on CPU {result.cpu}: {result.cpu_s[0] / result.seconds:.0%} of it"
    if len(result.weights) == 2:
        return f"{result.ratio:.2f} to 1 measured, {result.expected_ratio:.2f} to 1 asked for"
    return f"At most {abs(result.deviation):.1%} from the requested parts"


def _alt(result: CpuShares, guess: float | None) -> str:
    shares = "; ".join(
        f"{name}: {part:.1%} measured, {expected:.1%} expected"
        for name, part, expected in zip(result.names, result.parts, result.expected, strict=True)
    )
    guessed = "" if guess is None else f" A dotted line marks the guess, {guess:.0%}."
    return (
        f"Two charts of {len(result.weights)} containers on one CPU for {result.seconds:.0f} s. "
        "Left, lines: the part of the CPU time each got over time, almost level, next to dashed "
        f"lines for the expected parts. Right, bars: CPU seconds in all. {shares}.{guessed}"
        f"{' ' + result.warning + '.' if result.warning else ''}"
    )
