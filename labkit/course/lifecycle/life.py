"""A container's life: the engine's own table of states as a drawing, and one container's way.

    life("box")     # the state machine, with the way of the container box highlighted

The table comes from the engine (`GET /labkit/states`, printed by `labkit states`), so the picture
shows the rules that the engine follows.  It adds the two commands that cause the event `die`, the
end of the first process: `stop` and `kill`.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.errors import InvalidParameterError, NotFoundError

NS_PER_S = 1e9
GONE = ""
"""The state before create and after remove."""
EVENTS_OF = {"destroy": ("remove", "destroy"), "kill": ()}
"""Events of the engine that mean several of the table, or none: `kill` is only a signal."""


class Arrow(NamedTuple):
    """One row of the table: in the state `before`, `event` leads to the state `after`."""

    before: str
    event: str
    after: str


COMMANDS = (Arrow("running", "stop", "exited"), Arrow("running", "kill", "exited"))
"""Commands of a user for a running container; for the engine, both end in `die`."""


class Move(NamedTuple):
    """An arrow that a container followed, and its time in seconds since the create."""

    time_s: float
    arrow: Arrow


def arrows(client: Client) -> list[Arrow]:
    """The engine's table, and the two commands that end a container."""
    rows = client.api.get("/labkit/states")
    return [*(Arrow(row["Before"], row["Event"], row["After"]) for row in rows), *COMMANDS]


def path_of(
    events: Iterable[Mapping[str, Any]], table: Sequence[Arrow], *, has_policy: bool = False
) -> list[Move]:
    """The moves in the events of one container; events that change no state are left out.

    With `has_policy`, an end that no user caused is followed by a wait for the restart: the engine
    reports the start after the wait, but not the wait.
    """
    told = list(events)
    leads = {(arrow.before, arrow.event): arrow for arrow in table}
    moves: list[Move] = []
    state, began_ns, was_asked = GONE, 0, False

    def go(name: str, time_ns: int) -> None:
        nonlocal state
        arrow = leads.get((state, name))
        if arrow:
            moves.append(Move((time_ns - began_ns) / NS_PER_S, arrow))
            state = arrow.after

    for event, later in zip_longest(told, told[1:]):
        action, time_ns = event["Action"], event["timeNano"]
        if action == "create":
            moves, state, began_ns = [], GONE, time_ns
        if action == "start" and state == "exited" and has_policy and not was_asked:
            go("retry", time_ns)
        was_asked = action == "kill" or (was_asked and action != "start")
        if action == "die" and was_asked and state == "running":
            is_stop = later is not None and later["Action"] == "stop"
            go("stop" if is_stop else "kill", time_ns)
            continue
        for name in EVENTS_OF.get(action, (action,)):
            go(name, time_ns)
    return moves


def life(name: str, *, client: Client | None = None) -> Figure:
    """The state machine with the way of a container, even of one that has been removed.

    If several containers have had the name, one after the other, the last one counts.
    InvalidParameterError if the engine knows of none (it remembers its last 256 events).
    """
    client = client or connect()
    table = arrows(client)
    events = list(client.events(since=1, until=time.time(), filters={"container": name}))
    moves = path_of(events, table, has_policy=_has_policy(client, name))
    if not moves:
        raise InvalidParameterError(f"no events of a container {name}: was there one lately?")
    return picture(table, moves, name)


def states(*, client: Client | None = None) -> Figure:
    """The state machine without a container."""
    return picture(arrows(client or connect()), (), "")


def picture(table: Sequence[Arrow], moves: Sequence[Move], name: str) -> Figure:
    """Draw the table, with the moves highlighted and numbered in their order."""
    steps: dict[Arrow, list[int]] = {}
    for number, move in enumerate(moves, 1):
        steps.setdefault(move.arrow, []).append(number)
    drawing = draw(table, steps, _headline(moves, name))
    return Figure(drawing, alt=_alt(table, moves, name), table=_table(table, moves))


def _has_policy(client: Client, name: str) -> bool:
    """Whether a container has a restart policy; False if it does not exist any more."""
    try:
        attrs = client.containers.get(name).attrs
    except NotFoundError:
        return False
    return attrs["HostConfig"]["RestartPolicy"]["Name"] not in ("", "no")


def _headline(moves: Sequence[Move], name: str) -> str:
    if not moves:
        return "The life of a container"
    return f"{name}: {len(moves)} steps in {moves[-1].time_s:.1f} s"


def _alt(table: Sequence[Arrow], moves: Sequence[Move], name: str) -> str:
    said = "; ".join(
        f"{arrow.before or 'nothing'} – {arrow.event} → {arrow.after or 'nothing'}"
        for arrow in table
    )
    words = f"The states of a container and what leads from one to another: {said}."
    if not moves:
        return words
    way = ", ".join(f"{number} {move.arrow.event}" for number, move in enumerate(moves, 1))
    return f"{words} Lit and numbered is the way of the container {name}: {way}."


def _table(table: Sequence[Arrow], moves: Sequence[Move]) -> Table:
    if not moves:
        return Table(
            ("in state", "event", "leads to"),
            tuple((row.before or "–", row.event, row.after or "–") for row in table),
        )
    return Table(
        ("step", "time (s)", "in state", "event", "leads to"),
        tuple(
            (
                str(number),
                f"{move.time_s:.2f}",
                move.arrow.before or "–",
                move.arrow.event,
                move.arrow.after or "–",
            )
            for number, move in enumerate(moves, 1)
        ),
    )


# The drawing of the state machine: the places of the states, and the bends of their arrows.
#
# Only places and bends are defined here; the states and arrows are the engine's.


Place = tuple[float, float]
Row = tuple[str, str, str]
"""State before, event, state after, as in the engine's table; "" means that no container exists."""

PLACES: dict[str, Place] = {
    "created": (3.1, 3.3),
    "running": (6.2, 3.3),
    "paused": (6.2, 5.6),
    "exited": (10.2, 3.3),
    "restarting": (7.5, 1.35),
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
    ("exited", "start"): -0.36,
    ("running", "stop"): 0.18,
    ("running", "die"): -0.18,
    ("running", "fail again"): -0.36,
    ("exited", "retry"): -0.06,
    ("restarting", "stop"): -0.34,
    ("restarting", "start"): 0.15,
    ("exited", "remove"): 0.36,
    ("restarting", "remove"): 0.1,
    ("dead", "remove"): 0.3,
}
"""The bend of an arrow, as a part of its length, to the left of its direction; 0 for the others."""
BOX: Place = (1.6, 0.62)
LIT, UNLIT = style.colour(1), "#A9B0B8"


def draw(table: Sequence[Row], steps: Mapping[Any, Sequence[int]], headline: str) -> Any:
    """Draw the states and arrows of the table; `steps` numbers the arrows on a container's way."""
    with style.picture(height_in=4.8) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 11.1), ylim=(-0.9, 6.0))
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
    from matplotlib.patches import FancyArrowPatch  # noqa: PLC0415 only drawing needs it

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
        x -= 0.3  # the dot is smaller than a box: the visible arrow has its middle further left
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
    """The alignment of a label: outside of vertical arrows, since two of them are side by side."""
    if start[0] != end[0]:
        return "center"
    return "left" if x > start[0] else "right"


def _middle(start: Place, end: Place, bend: float) -> Place:
    """The middle of the curve: half as far from the straight line as its control point."""
    across = (-(end[1] - start[1]), end[0] - start[0])
    return (
        (start[0] + end[0]) / 2 + across[0] * bend / 2,
        (start[1] + end[1]) / 2 + across[1] * bend / 2,
    )


def _state(axes: Any, state: str, centre: Place, *, is_lit: bool, is_last: bool) -> Any:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only drawing needs it

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
    """Draw the points before a container exists, and after it is removed."""
    from matplotlib.patches import Circle  # noqa: PLC0415 only drawing needs it

    begun, gone = (LIT if is_lit else UNLIT), (LIT if is_gone else UNLIT)
    first = axes.add_patch(Circle(BEGINNING, 0.19, color=begun, zorder=4))
    final = axes.add_patch(Circle(END, 0.22, facecolor="white", edgecolor=gone, zorder=4))
    axes.add_patch(Circle(END, 0.12, color=gone, zorder=5))
    quiet: Any = {"va": "center", "fontsize": 8, "color": style.QUIET}
    axes.text(BEGINNING[0], BEGINNING[1] - 0.5, "nothing yet", ha="center", **quiet)
    axes.text(END[0] - 0.4, END[1], "nothing left", ha="right", **quiet)
    return first, final
