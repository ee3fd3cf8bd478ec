"""The four limits of a disk, each measured: bytes and operations per second, read and written.

One program reads or writes the lab disk without the page cache (`dd` with `direct`), twice: without
a limit and with one.  Its rate is its work, divided by the time between two marks that it prints.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit import labdisk
from labkit.client import Client
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.lifecycle.endings import await_words
from labkit.course.limits.disk_result import MIB
from labkit.course.limits.disk_run import LIFETIME_S, NOW, lab_disk
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

KIB = 1024
TOLERANCE = 0.15
READ, WRITE = "if={file} of=/dev/null iflag=direct", "if=/dev/zero of={file} oflag=direct"
MAKE = f"dd if=/dev/zero of={{file}} bs={MIB} count=16 oflag=direct 2>/dev/null"


class Limit(NamedTuple):
    """A flag, its rate, and a program for it with `blocks` of `block` bytes."""

    flag: str
    rate: int
    unit: str
    words: str
    block: int
    blocks: int

    @property
    def option(self) -> str:
        """The name of the flag's option in `containers.run`."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def done(self) -> float:
        """The whole work of the program, in the limit's unit."""
        return self.block * self.blocks / MIB if self.unit == "MiB/s" else self.blocks

    @property
    def engine_rate(self) -> int:
        """The rate for the engine: bytes or operations per second."""
        return self.rate * MIB if self.unit == "MiB/s" else self.rate


LIMITS = (
    Limit("--device-read-bps", 5, "MiB/s", READ, MIB, 10),
    Limit("--device-write-bps", 5, "MiB/s", WRITE, MIB, 10),
    Limit("--device-read-iops", 50, "operations/s", READ, 4 * KIB, 100),
    Limit("--device-write-iops", 50, "operations/s", WRITE, 4 * KIB, 100),
)


class Rate(NamedTuple):
    """The rates of one program without the limit and with it, in the limit's unit."""

    limit: Limit
    free: float
    limited: float


@dataclass(frozen=True)
class DiskLimits:
    """The rates, in the order of `LIMITS`."""

    rates: tuple[Rate, ...]

    @property
    def holds(self) -> bool:
        """Whether each program stayed within its limit plus 15 %, and was faster without it."""
        return all(
            one.limited <= (1 + TOLERANCE) * one.limit.rate and one.free > one.limited
            for one in self.rates
        )

    def table(self) -> Table:
        """A row for each flag."""
        return Table(
            ("flag", "limit", "without it", "with it", "unit"),
            tuple(
                (
                    one.limit.flag,
                    str(one.limit.rate),
                    f"{one.free:.0f}",
                    f"{one.limited:.1f}",
                    one.limit.unit,
                )
                for one in self.rates
            ),
        )

    def plot(self) -> Figure:
        """Draw a bar for each flag: the measured rate, as a part of the limit."""
        with style.picture(height_in=1.0 + 0.46 * len(self.rates)) as drawing:
            axes = drawing.subplots()
            for row, one in enumerate(self.rates):
                part = 100 * one.limited / one.limit.rate
                axes.barh(row, part, height=0.62, color=style.colour(0 if row < 2 else 2))
                axes.annotate(
                    f"{one.limited:.1f} {one.limit.unit} (without: {one.free:.0f})",
                    (max(part, 100), row),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                )
            axes.axvline(100, color=style.QUIET, linewidth=1.1, linestyle=style.DASHED)
            names = [f"{one.limit.flag} {one.limit.rate}" for one in self.rates]
            style.named_rows(axes, names)
            axes.set(xlim=(0, 190), xlabel="rate with the limit, in % of the limit")
            style.headline(drawing, "Each limit is kept", "dashed: the limit")
        each = "; ".join(
            f"{one.limit.flag} {one.limit.rate}: {one.limited:.1f} {one.limit.unit}, "
            f"{one.free:.0f} without"
            for one in self.rates
        )
        return Figure(drawing, alt=f"Bars of four limited rates. {each}.", table=self.table())

    def __repr__(self) -> str:
        return str(self.table())


def disk_limits(*, client: Client | None = None) -> DiskLimits:
    """Measure each limit on the lab disk, which is made for the run if there is none.  Needs root.

    LabkitError if a program cannot use the disk.
    """
    with lab_disk() as disk, Crew(client or connect(), "disk-limits", LIFETIME_S) as crew:

        def rate(limit: Limit, *, is_limited: bool) -> float:
            return limit.done / _took_s(crew, disk, limit, is_limited=is_limited)

        return DiskLimits(tuple(_rate(limit, rate) for limit in LIMITS))


def _rate(limit: Limit, rate: Callable[..., float]) -> Rate:
    return Rate(limit, rate(limit, is_limited=False), rate(limit, is_limited=True))


def _took_s(crew: Crew, disk: labdisk.LabDisk, limit: Limit, *, is_limited: bool) -> float:
    """The seconds between the program's two marks."""
    file = f"/disk/{limit.option}"
    words = limit.words.format(file=file)
    program = f"dd {words} bs={limit.block} count={limit.blocks} conv=notrunc 2>/dev/null"
    # The file is made before the first mark, so that only the measured part is between the marks.
    script = f"[ -e {file} ] || {MAKE.format(file=file)}; {NOW}; {program} && {NOW}; echo done"
    rule = [{"Path": disk.device, "Rate": limit.engine_rate}]
    options: dict[str, Any] = {limit.option: rule} if is_limited else {}
    box = crew.hire_plain(
        "disk-limit", ["sh", "-c", script], volumes=[f"{disk.mount}:/disk"], **options
    )
    await_words(box, b"done")
    moments = [float(line.split()[0]) for line in box.logs().splitlines() if line.endswith(b" now")]
    printed = box.logs()
    box.remove(force=True)
    if len(moments) != 2:
        raise LabkitError(f"dd could not use the lab disk: {printed!r}")
    return moments[1] - moments[0]
