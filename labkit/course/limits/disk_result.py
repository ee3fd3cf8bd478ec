"""The results of the experiments on the lab disk: weights under contention, and rates."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.limits.cpu_result import TOLERANCE, deviation, expected_parts

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

MIB = 1 << 20
RATE_TOLERANCE = 0.10


class DiskSample(NamedTuple):
    """One reading: `time_s` since the window's begin, and each container's bytes since then."""

    time_s: float
    read_bytes: tuple[int, ...]


@dataclass(frozen=True)
class DiskWeights:
    """Containers that read from one disk as fast as possible; in the order of `weights`."""

    weights: tuple[int, ...]
    samples: tuple[DiskSample, ...]

    @property
    def rates_mib(self) -> tuple[float, ...]:
        """MiB per second of each container, as counted by its group."""
        last = self.samples[-1]
        return tuple(read / MIB / last.time_s for read in last.read_bytes)

    @property
    def parts(self) -> tuple[float, ...]:
        """Each container's usual part of the bytes read: the median over the intervals."""
        every = zip(*(parts for _, parts in self.parts_over_time()), strict=True)
        return expected_parts([median(one) for one in every])

    @property
    def ratio(self) -> float:
        """The bytes that the first container usually read for each byte of the last."""
        return self.parts[0] / self.parts[-1]

    @property
    def deviation(self) -> float:
        """The largest relative error of a proportion of the usual parts, with its sign."""
        return deviation(self.parts, self.weights)

    @property
    def holds(self) -> bool:
        """Whether every proportion is within 5 % of the weights'."""
        return abs(self.deviation) <= TOLERANCE

    def parts_over_time(self) -> list[tuple[float, tuple[float, ...]]]:
        """(middle of the interval in s, each container's part) for each pair of samples."""
        points = []
        for before, after in pairwise(self.samples):
            used = [b - a for a, b in zip(before.read_bytes, after.read_bytes, strict=True)]
            if sum(used):
                points.append(((before.time_s + after.time_s) / 2, expected_parts(used)))
        return points

    def table(self) -> Table:
        """A row for each container."""
        expected = expected_parts(self.weights)
        rows = zip(self.weights, self.rates_mib, self.parts, expected, strict=True)
        return Table(
            ("--blkio-weight", "read (MiB/s)", "usual part", "expected part"),
            tuple(
                (str(w), f"{rate:.1f}", f"{part:.1%}", f"{due:.1%}") for w, rate, part, due in rows
            ),
        )

    def plot(self) -> "Figure":
        """Draw each container's part of the disk over time."""
        return plot_weights(self)

    def __str__(self) -> str:
        asked = " : ".join(map(str, self.weights))
        rates = " and ".join(f"{rate:.0f}" for rate in self.rates_mib)
        return f"weights {asked}: {rates} MiB/s, {self.ratio:.2f} : 1 ({self.deviation:+.1%})"

    __repr__ = __str__


class Transfer(NamedTuple):
    """The write of a file by one container.

    `is_limited`: it had the limit; `is_direct`: it did not use the page cache.
    `until_on_disk_s`: the time until the last byte was on the disk.
    """

    is_direct: bool
    is_limited: bool
    size_bytes: int
    took_s: float
    until_on_disk_s: float

    @property
    def name(self) -> str:
        """A description, such as `cached, no limit`."""
        limited = "with the limit" if self.is_limited else "no limit"
        return f"{'direct' if self.is_direct else 'cached'}, {limited}"

    @property
    def seen_mib(self) -> float:
        """MiB per second as the program sees it."""
        return self.size_bytes / MIB / self.took_s

    @property
    def disk_mib(self) -> float:
        """MiB per second as the disk sees it."""
        return self.size_bytes / MIB / self.until_on_disk_s


@dataclass(frozen=True)
class DiskRates:
    """One program writes a file with and without `--device-write-bps`, with and without the cache.

    `version` is that of the cgroups that limit disks here: with 1 a cached page has no owner.
    """

    limit_mib: int
    version: int
    transfers: tuple[Transfer, ...]

    def expected_mib(self, transfer: Transfer) -> float | None:
        """The rate that the disk should see; None if there is no effective limit."""
        counts = transfer.is_limited and (transfer.is_direct or self.version == 2)
        return float(self.limit_mib) if counts else None

    @property
    def deviation(self) -> float:
        """The relative difference between the limited direct rate and the limit."""
        (direct,) = (one for one in self.transfers if one.is_direct and one.is_limited)
        return direct.disk_mib / self.limit_mib - 1

    @property
    def holds(self) -> bool:
        """Whether the four rates are as expected.

        The limited direct rate is within 10 % of the limit.  A cached write returns at once; it
        reaches the disk slowly if version 2 limits it.  Without a limit every write is fast.
        """
        free = [one for one in self.transfers if self.expected_mib(one) is None]
        held = [one for one in self.transfers if self.expected_mib(one) is not None]
        cached = [one for one in self.transfers if not one.is_direct]
        slow = all(one.disk_mib < 1.1 * self.limit_mib for one in held)
        fast = all(one.disk_mib > 2 * self.limit_mib for one in free)
        fast = fast and all(one.seen_mib > 2 * self.limit_mib for one in cached)
        return fast and slow and abs(self.deviation) <= RATE_TOLERANCE

    def table(self) -> Table:
        """A row for each write."""
        return Table(
            ("write", "the program sees (MiB/s)", "the disk sees (MiB/s)", "expected there"),
            tuple(
                (
                    one.name,
                    f"{one.seen_mib:.1f}",
                    f"{one.disk_mib:.1f}",
                    _rate(self.expected_mib(one)),
                )
                for one in self.transfers
            ),
            caption=f"version {self.version} of control groups limits disks here",
        )

    def plot(self) -> "Figure":
        """Draw two bars for each write, on a logarithmic scale."""
        return plot_rates(self)

    def __str__(self) -> str:
        each = "; ".join(f"{one.name}: {_rates(one)}" for one in self.transfers)
        return f"--device-write-bps {self.limit_mib}mb: {each} ({self.deviation:+.1%})"

    __repr__ = __str__


def _rate(rate_mib: float | None) -> str:
    return "as fast as it can" if rate_mib is None else f"{rate_mib:.0f}"


def _rates(one: Transfer) -> str:
    return f"{one.seen_mib:.1f}, on the disk {one.disk_mib:.1f} MiB/s"


# The pictures of the lab disk: its parts over time, and rates as bars.


def plot_weights(result: DiskWeights) -> Figure:
    """Draw each container's part of the disk over time; dashed lines are the weights' parts."""
    points = result.parts_over_time()
    parts, end_s = result.parts, result.samples[-1].time_s
    with style.picture(height_in=3.2) as drawing:
        axes = drawing.subplots()
        for due in sorted(set(expected_parts(result.weights))):
            style.expected_line(axes, 100 * due, 0, end_s)
        heights = style.spread([100 * part for part in parts], 6.5)
        for number, weight in enumerate(result.weights):
            axes.plot(
                [time_s for time_s, _ in points],
                [100 * each[number] for _, each in points],
                color=style.colour(number),
                linestyle=style.dash(number),
            )
            words = f"{weight}: {parts[number]:.1%}\n{result.rates_mib[number]:.0f} MiB/s"
            style.name_at_end(axes, end_s, heights[number], words, number)
        axes.set(
            xlim=(0, end_s), ylim=(0, 101), xlabel="time (s)", ylabel="part of the bytes read (%)"
        )
        style.headline(
            drawing,
            f"{result.ratio:.2f} to 1 on the disk",
            "name: --blkio-weight; dashed: expected",
        )
    each = "; ".join(
        f"--blkio-weight {weight}: {rate:.0f} MiB/s, {part:.1%}"
        for weight, rate, part in zip(result.weights, result.rates_mib, parts, strict=True)
    )
    alt = (
        f"Lines, almost level: each container's part of the bytes read from one disk over "
        f"{end_s:.0f} s, beside dashed lines for the parts that the weights ask for. {each}."
    )
    return Figure(drawing, alt=alt, table=result.table())


def plot_rates(result: DiskRates) -> Figure:
    """Draw the program's and the disk's rate for each write; the scale is logarithmic."""
    with style.picture(height_in=3.4) as drawing:
        axes = drawing.subplots()
        for row, one in enumerate(result.transfers):
            _bar(axes, row - 0.2, one.seen_mib, 3)
            _bar(axes, row + 0.2, one.disk_mib, 0)
        _name_bars(axes)
        axes.axvline(result.limit_mib, color=style.QUIET, linewidth=1.1, linestyle=(0, (4, 3)))
        axes.set_yticks(
            range(len(result.transfers)), [one.name for one in result.transfers], color=style.INK
        )
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        most = max(max(one.seen_mib, one.disk_mib) for one in result.transfers)
        axes.set(
            xscale="log",
            xlim=(1, most * 12),
            ylim=(len(result.transfers) - 0.4, -0.6),
            xlabel="MiB per second (each step is ten times as much)",
        )
        style.headline(
            drawing,
            "A limit on the disk, and the cache in front of it",
            f"dashed: --device-write-bps {result.limit_mib}mb",
        )
    return Figure(drawing, alt=_alt(result), table=result.table())


def _bar(axes: Any, height: float, rate_mib: float, curve: int) -> None:
    axes.barh(height, rate_mib, height=0.36, color=style.colour(curve))
    axes.annotate(
        f"{rate_mib:,.1f}" if rate_mib < 100 else f"{rate_mib:,.0f}",
        (rate_mib, height),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _name_bars(axes: Any) -> None:
    for height, words, curve in ((-0.2, "the program sees", 3), (0.2, "the disk sees", 0)):
        axes.annotate(
            words,
            (1, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8.5,
            color=style.readable(curve),
            fontweight="bold",
        )


def _alt(result: DiskRates) -> str:
    each = "; ".join(
        f"{one.name}: the program saw {one.seen_mib:.1f} MiB/s, the disk {one.disk_mib:.1f}"
        for one in result.transfers
    )
    return (
        f"Pairs of bars for {len(result.transfers)} writes, with a dashed line at the limit of "
        f"{result.limit_mib} MiB/s. {each}."
    )
