"""The pictures of the lab disk: parts of it over time, and rates as bars."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.limits.cpu_result import expected_parts
from labkit.course.limits.disk_result import DiskRates, DiskWeights


def plot_weights(result: DiskWeights) -> Figure:
    """Each container's part of what the disk gave over time; dashed what its weight asks for."""
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
            xlim=(0, end_s), ylim=(0, 101), xlabel="time (s)", ylabel="part of what was read (%)"
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
        f"Lines, almost level: the part of what was read from one disk over {end_s:.0f} s that "
        f"each container got, beside dashed lines for what its weight asks for. {each}."
    )
    return Figure(drawing, alt=alt, table=result.table())


def plot_rates(result: DiskRates) -> Figure:
    """For each write what the program saw and what the disk saw; the scale is logarithmic."""
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
