"""What the experiments on the lab disk found: weights under contention, and rates."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from labkit.course.figures.table import Table
from labkit.course.limits.cpu_result import TOLERANCE, deviation, expected_parts

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

MIB = 1 << 20
RATE_TOLERANCE = 0.10


class DiskSample(NamedTuple):
    """One reading: `time_s` since the window began, bytes each container has read since then."""

    time_s: float
    read_bytes: tuple[int, ...]


@dataclass(frozen=True)
class DiskWeights:
    """Containers that read from one disk as fast as they can; in the order of `weights`."""

    weights: tuple[int, ...]
    samples: tuple[DiskSample, ...]

    @property
    def rates_mib(self) -> tuple[float, ...]:
        """MiB per second of each, as its group has counted."""
        last = self.samples[-1]
        return tuple(read / MIB / last.time_s for read in last.read_bytes)

    @property
    def parts(self) -> tuple[float, ...]:
        """Each container's usual part of what was read: the median over the intervals."""
        every = zip(*(parts for _, parts in self.parts_over_time()), strict=True)
        return expected_parts([median(one) for one in every])

    @property
    def ratio(self) -> float:
        """What the first read for each byte of the last, usually."""
        return self.parts[0] / self.parts[-1]

    @property
    def deviation(self) -> float:
        """The largest relative error of a proportion of the usual parts, with its sign."""
        return deviation(self.parts, self.weights)

    @property
    def holds(self) -> bool:
        """Whether every proportion is within 5 % of what was asked."""
        return abs(self.deviation) <= TOLERANCE

    def parts_over_time(self) -> list[tuple[float, tuple[float, ...]]]:
        """(middle of the interval in s, each container's part in it) between two samples each."""
        points = []
        for before, after in pairwise(self.samples):
            used = [b - a for a, b in zip(before.read_bytes, after.read_bytes, strict=True)]
            if sum(used):
                points.append(((before.time_s + after.time_s) / 2, expected_parts(used)))
        return points

    def table(self) -> Table:
        """One row a container."""
        expected = expected_parts(self.weights)
        rows = zip(self.weights, self.rates_mib, self.parts, expected, strict=True)
        return Table(
            ("--blkio-weight", "read (MiB/s)", "usual part", "expected part"),
            tuple(
                (str(w), f"{rate:.1f}", f"{part:.1%}", f"{due:.1%}") for w, rate, part, due in rows
            ),
        )

    def plot(self) -> "Figure":
        """Each container's part of what the disk gave, over time."""
        from labkit.course.limits.disk_plots import plot_weights  # noqa: PLC0415 matplotlib

        return plot_weights(self)

    def __str__(self) -> str:
        asked = " : ".join(map(str, self.weights))
        rates = " and ".join(f"{rate:.0f}" for rate in self.rates_mib)
        return f"weights {asked}: {rates} MiB/s, {self.ratio:.2f} : 1 ({self.deviation:+.1%})"

    __repr__ = __str__


class Transfer(NamedTuple):
    """One container that wrote a file; `is_limited` if it had the limit, `is_direct` if it went
    past the page cache.  `until_on_disk_s` is when the last byte had reached the disk."""

    is_direct: bool
    is_limited: bool
    size_bytes: int
    took_s: float
    until_on_disk_s: float

    @property
    def name(self) -> str:
        """In words."""
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
    """One program writes a file, with and without `--device-write-bps`, past the cache and not.

    `version` is that of the cgroups that limit disks here: with 1 what is cached belongs to nobody.
    """

    limit_mib: int
    version: int
    transfers: tuple[Transfer, ...]

    def expected_mib(self, transfer: Transfer) -> float | None:
        """The rate the disk should see; None where nothing limits it."""
        counts = transfer.is_limited and (transfer.is_direct or self.version == 2)
        return float(self.limit_mib) if counts else None

    @property
    def deviation(self) -> float:
        """How far the limited rate past the cache is from the limit, as a part of it."""
        (direct,) = (one for one in self.transfers if one.is_direct and one.is_limited)
        return direct.disk_mib / self.limit_mib - 1

    @property
    def holds(self) -> bool:
        """The direct rate is within 10 %; the cache swallows at once; what it holds back is slow
        with version 2 (some of the time is its own), and whatever has no limit is fast."""
        free = [one for one in self.transfers if self.expected_mib(one) is None]
        held = [one for one in self.transfers if self.expected_mib(one) is not None]
        cached = [one for one in self.transfers if not one.is_direct]
        slow = all(one.disk_mib < 1.1 * self.limit_mib for one in held)
        fast = all(one.disk_mib > 2 * self.limit_mib for one in free)
        fast = fast and all(one.seen_mib > 2 * self.limit_mib for one in cached)
        return fast and slow and abs(self.deviation) <= RATE_TOLERANCE

    def table(self) -> Table:
        """One row a transfer."""
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
        """Two bars a transfer, on a logarithmic scale."""
        from labkit.course.limits.disk_plots import plot_rates  # noqa: PLC0415 matplotlib

        return plot_rates(self)

    def __str__(self) -> str:
        each = "; ".join(f"{one.name}: {_rates(one)}" for one in self.transfers)
        return f"--device-write-bps {self.limit_mib}mb: {each} ({self.deviation:+.1%})"

    __repr__ = __str__


def _rate(rate_mib: float | None) -> str:
    return "as fast as it can" if rate_mib is None else f"{rate_mib:.0f}"


def _rates(one: Transfer) -> str:
    return f"{one.seen_mib:.1f}, on the disk {one.disk_mib:.1f} MiB/s"
