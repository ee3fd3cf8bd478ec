"""The result of `memory_to_the_limit`: memory and swap over time, and the end."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

MIB = 1 << 20
TOLERANCE = 0.05
KILLED = 128 + 9
"""The exit code of a process that SIGKILL ended."""


class MemorySample(NamedTuple):
    """The container's memory and its swap `time_s` after the first reading."""

    time_s: float
    memory_bytes: int
    swap_bytes: int


@dataclass(frozen=True)
class MemoryToTheLimit:
    """One container that took more and more memory.

    `limit_bytes` is `-m`.  `swap_limit_bytes` is the additional swap that `--memory-swap` allows:
    0 if the machine has no swap or does not count it by container, even if `asked_swap_bytes` is
    not.  `peak_bytes` is the kernel's own record of the most memory at once, `oom_kills` the
    number of processes that it killed in the container, `message` its log message about that (""
    if the log must not be read).
    """

    limit_bytes: int
    swap_limit_bytes: int
    samples: tuple[MemorySample, ...]
    peak_bytes: int
    oom_kills: int
    exit_code: int
    message: str
    asked_swap_bytes: int = 0

    @property
    def swap_peak_bytes(self) -> int:
        """The most swap in any sample; 0 if no swap is allowed, since the value would be noise."""
        if not self.swap_limit_bytes:
            return 0
        return max(sample.swap_bytes for sample in self.samples)

    @property
    def most_bytes(self) -> int:
        """The most memory and swap together in any sample."""
        return max(sample.memory_bytes + sample.swap_bytes for sample in self.samples)

    @property
    def seconds(self) -> float:
        """The length of the observation."""
        return self.samples[-1].time_s

    @property
    def end_s(self) -> float:
        """The time when it had most memory: right after that the kernel killed it."""
        return max(self.samples, key=lambda one: one.memory_bytes + one.swap_bytes).time_s

    @property
    def deviation(self) -> float:
        """The relative difference between the kernel's record of the most memory and the limit."""
        return self.peak_bytes / self.limit_bytes - 1

    @property
    def holds(self) -> bool:
        """Whether it was killed at the limit ± 5 %, and only when its swap was nearly full."""
        swapped = self.swap_peak_bytes >= (1 - 4 * TOLERANCE) * self.swap_limit_bytes
        is_killed = self.oom_kills > 0 and self.exit_code == KILLED
        return is_killed and swapped and abs(self.deviation) <= TOLERANCE

    def table(self) -> Table:
        """The limits and the measured values, in MiB."""
        asked = self.limit_bytes + self.swap_limit_bytes
        return Table(
            ("", "limit (MiB)", "most at once (MiB)", "off by"),
            (
                _row("memory (the kernel's mark)", self.limit_bytes, self.peak_bytes),
                _row("swap (sampled)", self.swap_limit_bytes, self.swap_peak_bytes),
                _row("memory and swap (sampled)", asked, self.most_bytes),
            ),
            caption=f"exit code {self.exit_code}, processes killed by the kernel: {self.oom_kills}",
        )

    def plot(self) -> "Figure":
        """Draw memory, and swap on top of it, over time, until the kill."""
        return plot_memory(self)

    def __str__(self) -> str:
        swap = f" + {self.swap_limit_bytes / MIB:.0f} of swap" if self.swap_limit_bytes else ""
        return (
            f"limit {self.limit_bytes / MIB:.0f} MiB{swap}: {self.peak_bytes / MIB:.1f} MiB of "
            f"memory at most ({self.deviation:+.1%}), {self.swap_peak_bytes / MIB:.1f} of swap, "
            f"{self.oom_kills} killed, exit code {self.exit_code}"
        )

    __repr__ = __str__


def _row(name: str, limit_bytes: int, most_bytes: int) -> tuple[str, ...]:
    off = f"{most_bytes / limit_bytes - 1:+.1%}" if limit_bytes else "–"
    return name, f"{limit_bytes / MIB:.1f}", f"{most_bytes / MIB:.1f}", off


# The picture of `memory_to_the_limit`: memory, and swap on top of it, until the kill.


def plot_memory(result: MemoryToTheLimit) -> Figure:
    """Draw two areas over time; dashed lines are the limits, a cross marks the kill."""
    with style.picture(height_in=3.5) as drawing:
        axes = drawing.subplots()
        _draw_areas(axes, result)
        _draw_limits(axes, result)
        _draw_kill(axes, result)
        top_mib = (result.limit_bytes + result.swap_limit_bytes) / MIB
        axes.set(
            xlim=(0, result.seconds),
            ylim=(0, top_mib * 1.22),
            xlabel="time (s)",
            ylabel="held by the container (MiB)",
        )
        killed = "a process was killed" if result.oom_kills else "nothing was killed"
        style.headline(
            drawing, f"At {result.most_bytes / MIB:.0f} MiB {killed}", "dashed: the limit"
        )
    return Figure(drawing, alt=_alt(result), table=result.table())


def _draw_areas(axes: Any, result: MemoryToTheLimit) -> None:
    times = [sample.time_s for sample in result.samples]
    memory = [sample.memory_bytes / MIB for sample in result.samples]
    both = [(sample.memory_bytes + sample.swap_bytes) / MIB for sample in result.samples]
    axes.fill_between(times, memory, color=style.colour(0), linewidth=0, label="memory")
    if result.swap_peak_bytes:
        axes.fill_between(times, memory, both, color=style.colour(3), linewidth=0)
        middle_mib = (result.limit_bytes + result.swap_peak_bytes / 2) / MIB
        at_s = result.end_s
        axes.annotate(
            "swap",
            (at_s, middle_mib),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=style.readable(3),
            fontweight="bold",
        )
    axes.annotate(
        "memory",
        (result.end_s * 0.78, result.limit_bytes / MIB * 0.22),
        ha="center",
        color="white",
        fontweight="bold",
    )


def _draw_limits(axes: Any, result: MemoryToTheLimit) -> None:
    heights = {"-m": result.limit_bytes}
    if result.asked_swap_bytes and not result.swap_limit_bytes:
        axes.annotate(
            f"--memory-swap {(result.limit_bytes + result.asked_swap_bytes) // MIB}m: "
            "this machine has no swap to count, so -m is the whole limit",
            (0, result.limit_bytes / MIB),
            xytext=(4, 16),
            textcoords="offset points",
            color=style.INK,
            fontsize=8.5,
        )
    if result.swap_limit_bytes:
        heights["--memory-swap"] = result.limit_bytes + result.swap_limit_bytes
    for flag, height in heights.items():
        style.expected_line(axes, height / MIB, 0, result.seconds)
        axes.annotate(
            f"{flag} {height // MIB}m",
            (0, height / MIB),
            xytext=(4, 3),
            textcoords="offset points",
            color=style.QUIET,
            fontsize=8.5,
        )


def _draw_kill(axes: Any, result: MemoryToTheLimit) -> None:
    if not result.oom_kills:
        return
    axes.plot(
        [result.end_s], [result.most_bytes / MIB], marker="X", markersize=9, color=style.colour(1)
    )
    axes.annotate(
        "killed",
        (result.end_s, result.most_bytes / MIB),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        color=style.readable(1),
        fontweight="bold",
    )


def _alt(result: MemoryToTheLimit) -> str:
    swap = (
        f" above it an area of swap, at most {result.swap_peak_bytes / MIB:.1f} MiB of "
        f"{result.swap_limit_bytes / MIB:.0f} allowed;"
        if result.swap_peak_bytes
        else ""
    )
    return (
        f"An area that grows over {result.end_s:.1f} s to the limit of "
        f"{result.limit_bytes / MIB:.0f} MiB (the kernel's mark: {result.peak_bytes / MIB:.1f} "
        f"MiB);{swap} then the kernel kills, processes: {result.oom_kills}, and the memory is free "
        f"again. Exit code {result.exit_code}."
    )
