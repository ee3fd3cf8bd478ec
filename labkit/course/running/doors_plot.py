"""The picture of `doors`: two panels, in each the reader, the container, and what is in it."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.running.doors import Door, Doors, Process


def plot_doors(result: Doors) -> Figure:
    """attach at the left, exec at the right; an arrow leads from you to the process you reach."""
    with style.picture(height_in=3.3) as drawing:
        both = drawing.subplots(1, 2)
        for axes, door in zip(both, (result.attach, result.exec), strict=True):
            _draw(axes, door)
        style.headline(drawing, "attach joins process 1, exec brings a process of its own")
    each = " ".join(_words(door) for door in (result.attach, result.exec))
    alt = f"Two panels, each with you above and a container with its processes below. {each}"
    return Figure(drawing, alt=alt, table=result.table())


def _words(door: Door) -> str:
    inside = ", ".join(f"{one.command} {one.inner_pid} on {one.terminal}" for one in door.processes)
    return (
        f"{door.verb} reaches process {door.answered_pid}; in the container: {inside}; "
        f"after exit the container is {door.status_after_exit}."
    )


def _draw(axes: Any, door: Door) -> None:
    axes.set(xlim=(0, 10), ylim=(0, 8.5))
    axes.set_axis_off()
    axes.set_title(f"docker {door.verb}")
    _box(axes, (0.3, 1.1), (9.4, 4.4), "#F3F5F7", style.QUIET)
    axes.text(0.6, 5.0, "the container", color=style.QUIET, fontsize=8.5, va="center")
    places = {1: (3.0 if len(door.processes) > 1 else 5.0)}
    for one in door.processes:
        x = places.get(one.inner_pid, 7.2)
        _process(axes, x, one, is_reached=one.inner_pid == door.answered_pid)
        if one.inner_pid == door.answered_pid:
            _you(axes, x)
    axes.text(
        5,
        0.35,
        f"after exit, the container is {door.status_after_exit}",
        ha="center",
        va="center",
        fontweight="bold",
        color=style.readable(1 if door.status_after_exit == "exited" else 2),
    )


def _you(axes: Any, x: float) -> None:
    _box(axes, (x - 1.9, 7.0), (3.8, 1.3), "white", style.INK)
    axes.text(x, 7.65, "you, at a terminal", ha="center", va="center")
    axes.annotate(
        "",
        (x, 4.35),
        xytext=(x, 6.95),
        arrowprops={"arrowstyle": "<|-|>", "color": style.INK, "linewidth": 1.8},
    )


def _process(axes: Any, x: float, one: Process, *, is_reached: bool) -> None:
    tone = style.colour(0) if is_reached else "white"
    ink = "white" if is_reached else style.INK
    _box(axes, (x - 1.95, 1.6), (3.9, 2.7), tone, style.colour(0))
    words = (f"{one.command}: process {one.inner_pid}", f"on the host {one.host_pid}", one.terminal)
    for line, text in enumerate(words):
        weight = "normal" if line else "bold"
        y = 3.75 - 0.8 * line
        axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=8.5, fontweight=weight)


def _box(axes: Any, corner: tuple[float, float], size: tuple[float, float], *tones: str) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only for who draws

    face, edge = tones
    shape = "round,pad=0,rounding_size=0.25"
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=shape, facecolor=face, edgecolor=edge))
