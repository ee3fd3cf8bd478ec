"""The picture of `memory_to_the_limit`: memory, and swap on top of it, up to the kill."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.limits.memory_result import MIB, MemoryToTheLimit


def plot_memory(result: MemoryToTheLimit) -> Figure:
    """Two areas on each other over time; dashed the limits, a cross where the kernel killed."""
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
