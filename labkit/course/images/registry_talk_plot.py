"""The picture of `RegistryTalk`: a row for each request, and a bar for the bytes it carried."""

import math
from typing import Any

from labkit.client.sizes import human_size
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.images.registry_talk import RegistryTalk, Request, Talk

ROW_IN = 0.215
PLACES = {"method": 0.012, "about": 0.085, "status": 0.455, "meaning": 0.475}
"""Where each column begins (the status: where it ends); the figure is 1 wide."""
BAR_LEFT, BAR_RIGHT = 0.75, 0.925
LARGEST = 8
"""The bars' scale is logarithmic, since a manifest and a layer are a thousandfold apart: from one
byte to a hundred million, as a power of ten."""


def draw(talk: RegistryTalk) -> Figure:
    """The whole picture."""
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
        style.headline(drawing, _finding(talk), "↑ sent, ↓ received; the bars are logarithmic")
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
    for carried, sign, tone in ((request.went_bytes, "↑", 1), (request.came_bytes, "↓", 2)):
        if carried:
            length = _length(carried)
            axes.barh(row, length, left=BAR_LEFT, height=0.62, color=style.colour(tone))
            axes.text(
                BAR_LEFT + length + 0.006,
                row,
                f"{sign} {human_size(carried)}",
                va="center",
                fontsize=7.5,
                color=style.readable(tone),
            )


def _length(carried: int) -> float:
    part = math.log10(carried) / LARGEST
    return (BAR_RIGHT - BAR_LEFT) * min(max(part, 0.02), 1.0)


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
    return f"Requests to a registry, one a row, with a bar for the bytes each carried. {each}."
