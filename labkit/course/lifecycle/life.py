"""A container's life: the engine's own table of states as a drawing, and the way one has taken.

    life("box")     # the state machine; lit is the way of the container box, from its events

The table comes from the engine (`GET /labkit/states`, what `labkit states` prints), so the picture
cannot say anything else than what the engine obeys.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.lifecycle.life_plot import draw
from labkit.course.page.lab import connect
from labkit.errors import InvalidParameterError, NotFoundError

NS_PER_S = 1e9
GONE = ""
"""The state before create and after remove."""
EVENTS_OF = {"destroy": ("remove", "destroy")}
"""What the engine tells in one event, though the table has several for it."""


class Arrow(NamedTuple):
    """One row of the table: in the state `before`, `event` leads to the state `after`."""

    before: str
    event: str
    after: str


class Move(NamedTuple):
    """An arrow that a container went along, and when: seconds since it was created."""

    time_s: float
    arrow: Arrow


def arrows(client: Client) -> list[Arrow]:
    """The engine's table."""
    rows = client.api.get("/labkit/states")
    return [Arrow(row["Before"], row["Event"], row["After"]) for row in rows]


def path_of(
    events: Iterable[Mapping[str, Any]], table: Sequence[Arrow], *, has_policy: bool = False
) -> list[Move]:
    """The moves that the events of one container tell of; events that move nothing are left out.

    With `has_policy` an end that nobody asked for is followed by a wait for the restart: the engine
    tells of the start after it, but not of the wait.
    """
    leads = {(arrow.before, arrow.event): arrow for arrow in table}
    moves: list[Move] = []
    state, began_ns, was_asked = GONE, 0, False

    def go(name: str, time_ns: int) -> None:
        nonlocal state
        arrow = leads.get((state, name))
        if arrow:
            moves.append(Move((time_ns - began_ns) / NS_PER_S, arrow))
            state = arrow.after

    for event in events:
        action, time_ns = event["Action"], event["timeNano"]
        if action == "create":
            moves, state, began_ns = [], GONE, time_ns
        if action == "start" and state == "exited" and has_policy and not was_asked:
            go("retry", time_ns)
        was_asked = action == "kill" or (was_asked and action != "start")
        for name in EVENTS_OF.get(action, (action,)):
            go(name, time_ns)
    return moves


def life(name: str, *, client: Client | None = None) -> Figure:
    """The state machine with the way that a container took, also of one that has been removed.

    The name may have belonged to several, one after the other: the last one counts.
    InvalidParameterError if the engine has heard of none (it remembers its last 256 events).
    """
    client = client or connect()
    table = arrows(client)
    events = list(client.events(since=1, until=time.time(), filters={"container": name}))
    moves = path_of(events, table, has_policy=_has_policy(client, name))
    if not moves:
        raise InvalidParameterError(f"no events of a container {name}: was there one lately?")
    return picture(table, moves, name)


def states(*, client: Client | None = None) -> Figure:
    """The state machine alone."""
    return picture(arrows(client or connect()), (), "")


def picture(table: Sequence[Arrow], moves: Sequence[Move], name: str) -> Figure:
    """The table drawn, with the moves lit and numbered in their order."""
    steps: dict[Arrow, list[int]] = {}
    for number, move in enumerate(moves, 1):
        steps.setdefault(move.arrow, []).append(number)
    drawing = draw(table, steps, _headline(moves, name))
    return Figure(drawing, alt=_alt(table, moves, name), table=_table(table, moves))


def _has_policy(client: Client, name: str) -> bool:
    """Whether it is ever restarted, as far as that can still be asked."""
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
