"""The requests to a registry, with the meaning and the number of bytes of each.

with record(hub.log) as pushed:
    %docker push …
RegistryTalk(("the first push", pushed)).plot()
"""

from collections.abc import Mapping
from typing import Any

from labkit.course.architecture.trace import Trace
from labkit.course.architecture.wire import Exchange
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.images.blob_fates import draw_grid, grid
from labkit.course.images.blob_tree import SHORT_DIGITS, BlobTree
from labkit.course.images.registry_request import Request, Talk, about
from labkit.dialect.sizes import human_size

LANE = "daemon"
"""The sender of the requests."""


class RegistryTalk:
    """Commands' requests to a registry: for each command a name and its recorded trace.

    `blobs` are trees of images; they tell the kind of a blob (config or layer).
    """

    def __init__(self, *recorded: tuple[str, Trace], blobs: BlobTree | None = None) -> None:
        kinds = {blob.short: blob.kind for blob in blobs.leaves()} if blobs else {}
        self.talks = tuple(
            Talk(
                name,
                tuple(_request(one, kinds) for one in trace.exchanges if one.lanes[0] == LANE),
            )
            for name, trace in recorded
        )

    def table(self) -> Table:
        """A row for each request."""
        return Table(
            ("during", "request", "about", "status", "meaning", "went (B)", "came (B)"),
            tuple(
                (
                    talk.name,
                    one.method,
                    f"{one.kind} {one.what}".strip(),
                    str(one.status),
                    one.meaning,
                    str(one.went_bytes),
                    str(one.came_bytes),
                )
                for talk in self.talks
                for one in talk.requests
            ),
        )

    def plot(self) -> Figure:
        """Draw a grid: the fate of each blob in each command."""
        rows = grid(self.talks)
        with style.picture(height_in=1.15 + 0.36 * len(rows)) as drawing:
            draw_grid(drawing.subplots(), self.talks)
            style.headline(drawing, _finding(self), "red: sent, green: fetched, grey: not moved")
        each = "; ".join(
            f"{name}: " + ", then ".join(str(fate) for fate in line) for name, line in rows.items()
        )
        names = ", ".join(f"{one.name} ({_sum(one)})" for one in self.talks)
        alt = f"A grid of blobs against commands: {names}. {each}."
        return Figure(drawing, alt=alt, table=self.table())

    def plot_requests(self) -> Figure:
        """Draw the requests in their order, each in a row."""
        return draw(self)

    def __repr__(self) -> str:
        return str(self.table())


def _request(exchange: Exchange, kinds: Mapping[str, str]) -> Request:
    kind, what = about(exchange.target)
    return Request(
        exchange.method,
        kind,
        what,
        exchange.status,
        exchange.sent_bytes,
        exchange.received_bytes,
        kinds.get(what[:SHORT_DIGITS], "blob"),
    )


# The picture of the requests in their order: a row for each.


ROW_IN = 0.215
PLACES = {"method": 0.012, "about": 0.085, "status": 0.51, "meaning": 0.53}
"""The left edge of each column (the right edge for the status); the figure has the width 1."""
WENT, CAME = 0.9, 0.985
"""The right edges of the numbers of bytes."""


def draw(talk: RegistryTalk) -> Figure:
    """Draw the whole picture."""
    rows = sum(len(one.requests) + 2 for one in talk.talks)
    with style.picture(height_in=0.75 + ROW_IN * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 1), ylim=(rows - 0.9, -0.9))
        axes.set_axis_off()
        row = 0
        for one in talk.talks:
            _heading(axes, row, one)
            for number, request in enumerate(one.requests, row + 1):
                _row(axes, number, request)
            row += len(one.requests) + 2
        style.headline(drawing, _finding(talk), "↑ sent, ↓ received")
    return Figure(drawing, alt=_alt(talk), table=talk.table())


def _heading(axes: Any, row: int, talk: Talk) -> None:
    axes.text(PLACES["method"], row, talk.name, va="center", fontweight="bold")
    axes.text(0.99, row, _sum(talk), ha="right", va="center", fontsize=8.5, color=style.QUIET)
    axes.plot([PLACES["method"], 0.99], [row + 0.5] * 2, color=style.GRID, linewidth=1.0)


def _row(axes: Any, row: int, request: Request) -> None:
    is_no = request.status >= 400
    ink = style.QUIET if is_no else style.INK
    small: Any = {"va": "center", "fontsize": 7.5, "color": ink}
    mono = {"fontfamily": "DejaVu Sans Mono"}
    axes.text(PLACES["method"], row, request.method, fontweight="bold", **small, **mono)
    about = f"{request.kind} {request.what}".strip()
    axes.text(PLACES["about"], row, about, parse_math=False, **small, **mono)
    axes.text(PLACES["status"], row, str(request.status), ha="right", **small, **mono)
    axes.text(PLACES["meaning"], row, request.meaning, **small)
    for carried, sign, tone, end in (
        (request.went_bytes, "↑", 1, WENT),
        (request.came_bytes, "↓", 2, CAME),
    ):
        if carried:
            words = f"{sign} {human_size(carried)}"
            tinted: Any = {**small, "color": style.readable(tone)}
            axes.text(end, row, words, ha="right", **tinted)


def _sum(talk: Talk) -> str:
    return (
        f"{len(talk.requests)} requests, {human_size(talk.went_bytes)} sent, "
        f"{human_size(talk.came_bytes)} received"
    )


def _finding(talk: RegistryTalk) -> str:
    carried = [human_size(one.went_bytes + one.came_bytes) for one in talk.talks]
    return f"Carried: {', then '.join(carried)}"


def _alt(talk: RegistryTalk) -> str:
    each = "; ".join(
        f"{one.name}: {_sum(one)}, namely "
        + ", ".join(
            f"{request.method} {request.kind} {request.what}".strip() + f" → {request.status}"
            for request in one.requests
        )
        for one in talk.talks
    )
    return f"Requests to a registry, in their order. {each}."
