"""The picture of a `Walk`: each tree of groups as a branch, with the container at its end."""

from typing import Any

from labkit.course.cgroups.walk import SHORT, Home, Walk
from labkit.course.figures import style
from labkit.course.figures.figure import Figure

TONES = (style.PALE, style.PALE, style.colour(2))
"""Of where a tree is mounted, of the engine's group, of the container's."""
BEGINS, WIDTH = (0.0, 3.2, 5.6), (2.9, 2.1, 2.1)
"""Columns: where they begin and how wide they are."""


def plot_walk(result: Walk) -> Figure:
    """A row a hierarchy: the mount point, the engine's group, the container's own."""
    rows = len(result.homes)
    with style.picture(height_in=0.9 + 0.42 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 7.8), ylim=(rows - 0.1, -0.75))
        axes.set_axis_off()
        for begin, title in zip(BEGINS, ("mounted at", "the engine", "the container"), strict=True):
            axes.text(begin, -0.45, title, fontweight="bold", va="center")
        for row, home in enumerate(result.homes):
            _draw(axes, row, parts(home, result.container_id))
        one = "one folder" if rows == 1 else f"{rows} folders, one in each tree"
        style.headline(drawing, f"The container's place: {one}")
    return Figure(drawing, alt=_alt(result), table=result.table())


def parts(home: Home, container_id: str) -> tuple[str, str, str]:
    """The mount point, the groups between, and the container's group with its id cut short."""
    between, _, last = home.path.rpartition("/")
    return home.point, between.strip("/"), last.replace(container_id, f"{container_id[:SHORT]}…")


def _draw(axes: Any, row: int, texts: tuple[str, str, str]) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    for column, text in enumerate(texts):
        axes.add_patch(
            Rectangle((BEGINS[column], row), WIDTH[column], 0.72, facecolor=TONES[column])
        )
        shown = text if len(text) <= 2 * SHORT else f"{text[: 2 * SHORT - 1]}…"
        axes.text(
            BEGINS[column] + 0.1,
            row + 0.36,
            shown,
            va="center",
            family="monospace",
            fontsize=8,
            color="white" if column == len(texts) - 1 else style.INK,
        )
        if column:
            end = BEGINS[column - 1] + WIDTH[column - 1]
            axes.plot([end, BEGINS[column]], [row + 0.36] * 2, color=style.QUIET, linewidth=1.2)


def _alt(result: Walk) -> str:
    each = "; ".join(
        f"{home.name}: {'/'.join(parts(home, result.container_id))}" for home in result.homes
    )
    return f"Trees of control groups, with the container's folder at the end of each. {each}."
