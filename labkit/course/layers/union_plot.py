"""The picture of `union`: image, writable layer and what the container sees, over each other."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.layers.union import OPAQUE, WHITEOUT, PathView, Union

NAMES_PART = 0.3
"""How much room the names of the rows take, as a part of the columns'."""
ROWS = ("the image", "the writable layer", "the container sees")
TONES = ("#DDE3EA", style.colour(3), style.colour(2))
HIDES = {WHITEOUT: "whiteout", OPAQUE: "opaque\nfolder"}


def plot_union(result: Union) -> Figure:
    """A column a path; an arrow leads from each thing that is seen up to the seeing."""
    with style.picture(height_in=3.1) as drawing:
        axes = drawing.subplots()
        left = -NAMES_PART * len(result.views)
        axes.set(xlim=(left, len(result.views)), ylim=(-0.05, 3.75))
        axes.set_axis_off()
        for row, name in enumerate(ROWS):
            axes.text(left, 1.2 * row + 0.4, name, va="center", fontweight="bold")
        for column, view in enumerate(result.views):
            _draw(axes, column, view)
        style.headline(drawing, "Upper layers cover lower ones", f"container {result.name}")
    return Figure(drawing, alt=_alt(result), table=result.table())


def _alt(result: Union) -> str:
    each = "; ".join(
        f"{view.path}: in the image {view.image or 'nothing'}, in the writable layer "
        f"{view.written or 'nothing'}, seen {view.seen or 'nothing'}"
        for view in result.views
    )
    return f"For each path what the image, the writable layer and the container have. {each}."


def _draw(axes: Any, column: int, view: PathView) -> None:
    middle = column + 0.5
    axes.text(middle, 3.5, view.path, ha="center", va="center", family="monospace", fontsize=8.5)
    for row, words in enumerate((view.image, view.written, view.seen)):
        if words:
            _cell(axes, column, row, words)
    if view.seen:
        start = 1 if view.written else 0
        axes.annotate(
            "",
            (middle, 2.38),
            xytext=(middle, 1.2 * start + 0.84),
            arrowprops={"arrowstyle": "-|>", "color": style.INK, "linewidth": 1.4},
        )


def _cell(axes: Any, column: int, row: int, words: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    hides = words in HIDES
    face = "white" if words == WHITEOUT else TONES[row]
    edge = style.colour(1) if hides else style.QUIET
    axes.add_patch(
        Rectangle(
            (column + 0.06, 1.2 * row),
            0.88,
            0.8,
            facecolor=face,
            edgecolor=edge,
            linewidth=2 if hides else 1,
            linestyle="--" if words == WHITEOUT else "-",
        )
    )
    axes.text(
        column + 0.5,
        1.2 * row + 0.4,
        HIDES.get(words, words),
        ha="center",
        va="center",
        fontsize=8.5,
        color="white" if row == 2 else style.readable(1) if words == WHITEOUT else style.INK,
        fontweight="bold" if hides or row == 2 else "normal",
    )
