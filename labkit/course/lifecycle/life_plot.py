"""The drawing of the state machine: where a state stands, and how its arrows bend.

Places and bends are all that is said here; the states and arrows themselves are the engine's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.course.figures import style

Place = tuple[float, float]
Row = tuple[str, str, str]
"""State before, event, state after, as in the engine's table; "" is no container."""

PLACES: dict[str, Place] = {
    "created": (3.1, 3.3),
    "running": (6.2, 3.3),
    "paused": (6.2, 5.1),
    "exited": (10.2, 3.3),
    "restarting": (7.5, 1.8),
    "removing": (6.2, 0.0),
    "dead": (9.8, 0.0),
}
BEGINNING: Place = (0.4, 3.3)
END: Place = (3.1, 0.0)
BENDS: dict[tuple[str, str], float] = {
    ("running", "fail"): -0.35,
    ("running", "pause"): 0.4,
    ("paused", "unpause"): 0.4,
    ("paused", "die"): 0.12,
    ("exited", "start"): -0.2,
    ("exited", "retry"): -0.12,
    ("restarting", "stop"): -0.34,
    ("restarting", "start"): 0.15,
    ("exited", "remove"): 0.36,
    ("restarting", "remove"): 0.1,
    ("dead", "remove"): 0.3,
}
"""How far an arrow bends, as a part of its length, to the left of its way; 0 for the others."""
BOX: Place = (1.6, 0.62)
LIT, UNLIT = style.colour(1), "#A9B0B8"


def draw(table: Sequence[Row], steps: Mapping[Any, Sequence[int]], headline: str) -> Any:
    """The states and arrows of the table; `steps` numbers the arrows that a container went."""
    with style.picture(height_in=4.5) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 11.1), ylim=(-0.9, 5.5))
        axes.set_axis_off()
        axes.set_aspect("equal")
        lit = {state for row in steps for state in (row[0], row[2])}
        last = max(steps, key=lambda row: max(steps[row]), default=("", "", ""))[2]
        hulls = {
            state: _state(axes, state, place, is_lit=state in lit, is_last=state == last)
            for state, place in PLACES.items()
        }
        first, final = _dots(axes, is_lit=bool(steps), is_gone=any(row[2] == "" for row in steps))
        for row in table:
            ends = (hulls.get(row[0], first), hulls.get(row[2], final))
            _arrow(axes, row, ends, steps.get(row, ()))
        style.headline(drawing, headline, "1, 2, …: its own way" if steps else "")
    return drawing


def _place(state: str, other: Place) -> Place:
    return PLACES[state] if state else other


def _arrow(axes: Any, row: Row, ends: tuple[Any, Any], numbers: Sequence[int]) -> None:
    from matplotlib.patches import FancyArrowPatch  # noqa: PLC0415 only for who draws

    before, event, after = row
    start, end = _place(before, BEGINNING), _place(after, END)
    bend = BENDS.get((before, event), 0.0)
    tone = LIT if numbers else UNLIT
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            connectionstyle=f"arc3,rad={-bend}",
            arrowstyle="-|>,head_length=0.5,head_width=0.24",
            mutation_scale=17,
            color=tone,
            linewidth=2.4 if numbers else 1.1,
            shrinkA=0,
            shrinkB=1,
            patchA=ends[0],
            patchB=ends[1],
            zorder=2 if numbers else 1,
        )
    )
    said = f"{', '.join(map(str, numbers))}  {event}" if numbers else event
    x, y = _middle(start, end, bend)
    if not before:
        x -= 0.3  # the dot is smaller than a box: the middle of what is seen of the arrow
    axes.text(
        x,
        y,
        said,
        ha=_side(start, end, x),
        va="center",
        fontsize=9 if numbers else 8,
        fontweight="bold" if numbers else "normal",
        color=style.readable(1) if numbers else style.QUIET,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
        zorder=3,
    )


def _side(start: Place, end: Place, x: float) -> str:
    """How words are set: outside of upright arrows, for two of them stand beside each other."""
    if start[0] != end[0]:
        return "center"
    return "left" if x > start[0] else "right"


def _middle(start: Place, end: Place, bend: float) -> Place:
    """The middle of the curve: half as far off the straight line as its control point."""
    across = (-(end[1] - start[1]), end[0] - start[0])
    return (
        (start[0] + end[0]) / 2 + across[0] * bend / 2,
        (start[1] + end[1]) / 2 + across[1] * bend / 2,
    )


def _state(axes: Any, state: str, centre: Place, *, is_lit: bool, is_last: bool) -> Any:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only for who draws

    width, height = BOX
    hull = axes.add_patch(
        FancyBboxPatch(
            (centre[0] - width / 2, centre[1] - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.2",
            facecolor=LIT if is_last else "#F7E9EE" if is_lit else "#F3F5F7",
            edgecolor=LIT if is_lit else UNLIT,
            linewidth=1.8 if is_lit else 1.1,
            zorder=4,
        )
    )
    axes.text(
        *centre,
        state,
        ha="center",
        va="center",
        fontsize=10,
        fontweight="bold",
        color="white" if is_last else style.INK,
        zorder=5,
    )
    return hull


def _dots(axes: Any, *, is_lit: bool, is_gone: bool) -> tuple[Any, Any]:
    """Before there is a container, and after there was one."""
    from matplotlib.patches import Circle  # noqa: PLC0415 only for who draws

    begun, gone = (LIT if is_lit else UNLIT), (LIT if is_gone else UNLIT)
    first = axes.add_patch(Circle(BEGINNING, 0.19, color=begun, zorder=4))
    final = axes.add_patch(Circle(END, 0.22, facecolor="white", edgecolor=gone, zorder=4))
    axes.add_patch(Circle(END, 0.12, color=gone, zorder=5))
    quiet: Any = {"va": "center", "fontsize": 8, "color": style.QUIET}
    axes.text(BEGINNING[0], BEGINNING[1] - 0.5, "nothing yet", ha="center", **quiet)
    axes.text(END[0] - 0.4, END[1], "nothing left", ha="right", **quiet)
    return first, final
