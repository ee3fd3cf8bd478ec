"""The measurements of a live panel, as a figure that stays."""

from collections.abc import Sequence
from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.live_chart import Moment
from labkit.course.figures.table import Table
from labkit.errors import LabkitError

NAME_GAP = 6.5


def plot_moments(moments: Sequence[Moment], names: Sequence[str]) -> Figure:
    """Draw the parts over time, with a mark at each change of shares."""
    if len(moments) < 2:
        raise LabkitError("nothing measured yet: let the panel run for a second or two")
    with style.picture(height_in=3.4) as drawing:
        axes = drawing.subplots()
        _draw(axes, moments, names)
        style.headline(drawing, "The curves part when a file is written", "dashed: expected")
    return Figure(drawing, alt=_alt(moments, names), table=_table(moments, names))


def stretches(moments: Sequence[Moment]) -> list[list[Moment]]:
    """The moments, cut at each change of shares."""
    cut: list[list[Moment]] = []
    for moment in moments:
        if not cut or cut[-1][-1].shares != moment.shares:
            cut.append([])
        cut[-1].append(moment)
    return cut


def _draw(axes: Any, moments: Sequence[Moment], names: Sequence[str]) -> None:
    times = [moment.time_s for moment in moments]
    for number in range(len(names)):
        axes.step(
            times,
            [100 * moment.expected[number] for moment in moments],
            where="pre",
            color=style.QUIET,
            linewidth=1.1,
            linestyle=(0, (4, 3)),
        )
        axes.plot(
            times,
            [100 * moment.parts[number] for moment in moments],
            color=style.colour(number),
            linestyle=style.dash(number),
        )
    cut = stretches(moments)
    for before, stretch in zip([None, *cut], cut, strict=False):
        # The change came at some time after the last reading with the old shares.
        from_s = before[-1].time_s if before else 0.0
        axes.axvline(from_s, color=style.QUIET, linewidth=0.8)
        axes.annotate(
            " : ".join(f"-c {shares}" for shares in stretch[0].shares),
            (from_s, 100),
            xytext=(4, -4),
            textcoords="offset points",
            va="top",
            color=style.QUIET,
            fontsize=8.5,
        )
    ends = [100 * part for part in moments[-1].parts]
    heights = style.spread(ends, NAME_GAP)
    for number, (name, height) in enumerate(zip(names, heights, strict=True)):
        style.name_at_end(axes, times[-1], height, name, number)
    axes.set(
        xlim=(0, times[-1]),
        ylim=(0, 101),
        xlabel="time (s)",
        ylabel="part of the CPU time (%)",
    )


def _rows(
    moments: Sequence[Moment], names: Sequence[str]
) -> list[tuple[float, float, str, float, float]]:
    """(from s, to s, name, expected, measured) of each container in each stretch."""
    rows = []
    for stretch in stretches(moments):
        for number, name in enumerate(names):
            measured = sum(moment.parts[number] for moment in stretch) / len(stretch)
            start_s, end_s = stretch[0].time_s, stretch[-1].time_s
            rows.append((start_s, end_s, name, stretch[0].expected[number], measured))
    return rows


def _table(moments: Sequence[Moment], names: Sequence[str]) -> Table:
    return Table(
        ("from (s)", "to (s)", "container", "expected part", "measured part"),
        tuple(
            (f"{start_s:.1f}", f"{end_s:.1f}", name, f"{expected:.1%}", f"{measured:.1%}")
            for start_s, end_s, name, expected, measured in _rows(moments, names)
        ),
    )


def _alt(moments: Sequence[Moment], names: Sequence[str]) -> str:
    each = "; ".join(
        f"from {start_s:.0f} s {name} {measured:.0%} (expected {expected:.0%})"
        for start_s, _, name, expected, measured in _rows(moments, names)
    )
    return (
        "A line chart of the part of the CPU time each container got, with dashed lines for what "
        f"its shares ask for and a mark where shares were changed: {each}."
    )
