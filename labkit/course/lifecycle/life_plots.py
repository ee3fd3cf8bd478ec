"""The pictures of chapter 8's experiments: ends, waits, policies, a pause."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.lifecycle.endings import Endings
from labkit.course.lifecycle.pausing import Pausing
from labkit.course.lifecycle.restarts import ENDS, POLICIES, BackOff, Policies

DASHED = (0, (4, 3))


def plot_endings(result: Endings) -> Figure:
    """A bar for every container; the dashed line is where the grace ends."""
    rows = range(len(result.rows))
    with style.picture(height_in=0.9 + 0.36 * len(rows)) as drawing:
        axes = drawing.subplots()
        for row, one in enumerate(result.rows):
            tone = style.colour(0 if one.verb == "stop" else 1)
            axes.barh(row, one.took_s, height=0.66, color=tone)
            signals = " then ".join(map(str, one.signals))
            _beside(axes, one.took_s, row, f"{one.took_s:.2f} s, exit {one.exit_code}", signals)
        axes.axvline(result.grace_s, color=style.QUIET, linewidth=1.1, linestyle=DASHED)
        labels = [f"{one.program.name}: {one.verb}" for one in result.rows]
        _rows(axes, labels)
        axes.set(xlim=(0, result.grace_s * 1.75), xlabel="time from the command to the end (s)")
        style.headline(
            drawing,
            "Who does not listen is killed when the grace is over",
            f"dashed: stop -t {result.grace_s:.0f}",
        )
    return Figure(drawing, alt=_alt_of_endings(result), table=result.table())


def _beside(axes: Any, x: float, row: int, words: str, signals: str) -> None:
    axes.annotate(
        f"{words}   (signal {signals})",
        (x, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _rows(axes: Any, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels, color=style.INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _alt_of_endings(result: Endings) -> str:
    each = "; ".join(
        f"{one.program.name}, {one.verb}: {one.took_s:.2f} s, exit code {one.exit_code}"
        for one in result.rows
    )
    return (
        f"Bars: how long {len(result.rows)} containers took to end, with a dashed line at the "
        f"grace of {result.grace_s:.0f} s. {each}."
    )


def plot_back_off(result: BackOff) -> Figure:
    """A bar for every wait, and a dashed mark where it should end."""
    with style.picture(height_in=1.0 + 0.34 * len(result.waits_s)) as drawing:
        axes = drawing.subplots()
        for row, (wait, due) in enumerate(zip(result.waits_s, result.expected_s, strict=True)):
            axes.barh(row, wait, height=0.62, color=style.colour(0))
            mark = [row - 0.44, row + 0.44]
            axes.plot([due, due], mark, color=style.QUIET, linewidth=1.3, linestyle=DASHED)
            axes.annotate(
                f"{wait:.2f} s",
                (max(wait, due), row),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold",
            )
        _rows(axes, [f"restart {number}" for number in range(1, len(result.waits_s) + 1)])
        axes.set(xlim=(0, max(*result.waits_s, *result.expected_s) * 1.18))
        axes.set_xlabel("wait between the end and the next start (s)")
        style.headline(drawing, "Each wait is twice as long as the one before", "dashed: expected")
    each = ", ".join(f"{wait:.2f} s" for wait in result.waits_s)
    rule = ", ".join(f"{wait:.1f} s" for wait in result.expected_s)
    alt = f"Bars of the waits before {len(result.waits_s)} restarts: {each}; expected {rule}."
    return Figure(drawing, alt=alt, table=result.table())


def plot_policies(result: Policies) -> Figure:
    """A square for every way to end and every policy: full where the container was restarted."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    with style.picture(height_in=3.2) as drawing:
        axes = drawing.subplots()
        for row, end in enumerate(ENDS):
            for column, one in enumerate(result.of(end)):
                tone = style.colour(0) if one.is_restarted else "#EEF0F3"
                axes.add_patch(Rectangle((column + 0.04, row + 0.07), 0.92, 0.86, color=tone))
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    "restarted" if one.is_restarted else "left alone",
                    ha="center",
                    va="center",
                    color="white" if one.is_restarted else style.QUIET,
                    fontweight="bold" if one.is_restarted else "normal",
                )
        first = [result.of(end)[0] for end in ENDS]
        labels = [
            f"{one.end.name}\nexit code {one.exit_code}{', OOMKilled' if one.is_oom else ''}"
            for one in first
        ]
        axes.set_yticks([row + 0.5 for row in range(len(ENDS))], labels, color=style.INK)
        axes.set_xticks([column + 0.5 for column in range(len(POLICIES))], POLICIES)
        axes.tick_params(length=0, labelsize=8.5, top=False)
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", length=0, labelsize=9.5, labelcolor=style.INK)
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set(xlim=(0, len(POLICIES)), ylim=(len(ENDS), 0))
        style.headline(drawing, "Who dies is judged by its policy; who is stopped stays down")
    fates = "; ".join(
        f"{end.name}: "
        + ", ".join(
            f"{one.policy} {'restarted' if one.is_restarted else 'left'}" for one in result.of(end)
        )
        for end in ENDS
    )
    alt = f"A grid of five ways to end against four restart policies. {fates}."
    return Figure(drawing, alt=alt, table=result.table())


def plot_pausing(result: Pausing) -> Figure:
    """The CPU time over time, with the paused stretch shaded."""
    begin_s, end_s = result.paused_s
    with style.picture(height_in=3.0) as drawing:
        axes = drawing.subplots()
        axes.axvspan(begin_s, end_s, color="#EEF0F3", linewidth=0)
        times = [time_s for time_s, _ in result.samples]
        used = [cpu_s for _, cpu_s in result.samples]
        level = next(cpu_s for time_s, cpu_s in result.samples if time_s >= begin_s)
        axes.plot(times, used, color=style.colour(0))
        style.expected_line(axes, level, begin_s, end_s)
        axes.text((begin_s + end_s) / 2, max(used) * 0.94, "paused", ha="center", fontweight="bold")
        axes.set(xlim=(0, times[-1]), ylim=(0, max(used) * 1.05))
        axes.set(xlabel="time (s)", ylabel="CPU time used so far (s)")
        part = result.cpu_part(begin_s, end_s)
        style.headline(drawing, f"While paused: {part:.1%} of a CPU", "dashed: expected")
    before = result.cpu_part(0, begin_s)
    after = result.cpu_part(end_s, times[-1])
    alt = (
        "A curve of the CPU time a container has used: it rises, is level while the container is "
        f"paused, and rises again. Of one CPU it used {before:.0%} before, {part:.1%} while it was "
        f"paused from {begin_s:.1f} s to {end_s:.1f} s, and {after:.0%} afterwards."
    )
    return Figure(drawing, alt=alt, table=result.table())
