"""The drawing of a trace: a lane for each who took part, an arrow for each request and answer.

The order is that of time, from top to bottom; the distances are not, since half of all happens
within a few milliseconds.  The time stands at the left.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure

if TYPE_CHECKING:
    from labkit.course.architecture.trace import Trace

ROW_IN = 0.235
LEFT = 0.11
"""Where the first lane stands; the times are left of it.  The figure is 1 wide."""
MAXIMUM_CHARACTERS = {2: 74, 3: 45}
COLOURS = {"client": 0, "daemon": 1, "registry": 2}
SWITCHED = 101


class Arrow(NamedTuple):
    """One arrow of the picture, at its time; a reply is drawn dashed."""

    time_s: float
    start: str
    end: str
    words: str
    is_reply: bool


def arrows(trace: "Trace") -> list[Arrow]:
    """Every arrow, in the order of time.

    An answer whose body goes on while others speak has one more, for its end.
    """
    found = []
    others = sorted(one.asked_s for one in trace.exchanges)
    for one, asked in zip(trace.exchanges, trace_words(trace), strict=True):
        asks, answers = one.lanes
        found.append(Arrow(one.asked_s, asks, answers, asked, False))
        if not one.status:
            continue
        goes_on = one.status == SWITCHED or any(
            one.answered_s < other < one.ended_s for other in others
        )
        said = f"{one.status}{', and stays open' if goes_on else ''}"
        found.append(Arrow(one.answered_s, answers, asks, said, True))
        if goes_on:
            last = asked.rpartition("/")[2]
            end = f"end of {last}: {one.received_bytes} B"
            found.append(Arrow(one.ended_s or one.answered_s, answers, asks, end, True))
    return sorted(found, key=lambda arrow: arrow.time_s)


def trace_words(trace: "Trace") -> list[str]:
    """The words on each request's arrow, in the trace's order."""
    asked = {lane: iter(trace.requests(lane)) for lane in trace.lanes}
    return [next(asked[one.lanes[0]]) for one in trace.exchanges]


def draw(trace: "Trace", title: str) -> Figure:
    """The whole picture."""
    rows = arrows(trace)
    lanes = trace.lanes or ("client", "daemon")
    places = {
        lane: LEFT + (0.95 - LEFT) * number / (len(lanes) - 1) for number, lane in enumerate(lanes)
    }
    took_ms = 1000 * (rows[-1].time_s - rows[0].time_s) if rows else 0.0
    with style.picture(height_in=1.0 + ROW_IN * len(rows)) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 1), ylim=(len(rows) + 0.2, -1.4))
        axes.set_axis_off()
        for lane, place in places.items():
            _lane(axes, lane, place, len(rows))
        for number, arrow in enumerate(rows):
            _arrow(axes, arrow, places, number)
            since_ms = 1000 * (arrow.time_s - rows[0].time_s)
            axes.text(0.075, number, f"{since_ms:.1f}", ha="right", va="center", **_quiet(8))
        axes.text(0.075, -1, "ms", ha="right", va="center", **_quiet(8))
        asked = len(trace.exchanges)
        style.headline(drawing, title or f"{asked} requests in {took_ms:.0f} ms")
    return Figure(drawing, alt=_alt(trace, took_ms), table=trace.table())


def _quiet(size: float) -> dict[str, Any]:
    return {"fontsize": size, "color": style.QUIET}


def _lane(axes: Any, lane: str, place: float, rows: int) -> None:
    tone = style.colour(COLOURS[lane])
    axes.plot([place, place], [-0.7, rows], color=tone, linewidth=2.2, solid_capstyle="round")
    axes.text(place, -1, lane, ha="center", va="center", fontweight="bold", color=tone)


def _arrow(axes: Any, arrow: Arrow, places: dict[str, float], row: int) -> None:
    start, end = places[arrow.start], places[arrow.end]
    axes.annotate(
        "",
        (end, row),
        (start, row),
        arrowprops={
            "arrowstyle": "-|>",
            "color": style.QUIET if arrow.is_reply else style.colour(COLOURS[arrow.start]),
            "linestyle": "dashed" if arrow.is_reply else "solid",
            "linewidth": 1.1,
            "shrinkA": 2,
            "shrinkB": 1,
        },
    )
    axes.text(
        (start + end) / 2,
        row,
        _cut(arrow.words, MAXIMUM_CHARACTERS[len(places)]),
        ha="center",
        va="center",
        fontsize=8,
        fontfamily="DejaVu Sans" if arrow.is_reply else "DejaVu Sans Mono",
        color=style.QUIET if arrow.is_reply else style.readable(COLOURS[arrow.start]),
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )


def _cut(words: str, maximum: int) -> str:
    """In the middle: what a path begins and ends with says most."""
    if len(words) <= maximum:
        return words
    half = (maximum - 1) // 2
    return f"{words[:half]}…{words[-half:]}"


def _alt(trace: "Trace", took_ms: float) -> str:
    told = "; ".join(
        f"{one.lanes[0]} to {one.lanes[1]}: {words} → {one.status or 'no answer'}"
        for one, words in zip(trace.exchanges, trace_words(trace), strict=True)
    )
    return (
        f"Arrows between {', '.join(trace.lanes)}, in the order of time, {took_ms:.0f} ms in all. "
        f"{told or 'Nothing was asked'}."
    )
