"""The chart of a live panel, as SVG: fast enough to draw several times a second on a slow machine.

It looks like the figures (`style` beside this file): the same colours, names at the ends of the
curves, and dashed lines for expected values.
"""

import html
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from labkit.course.figures import style
from labkit.course.limits.cpu_result import expected_parts

SPAN_S = 20.0
"""The length of the past that is shown, in seconds."""
WIDTH, HEIGHT = 680, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 160, 12, 34
NAME_GAP = 15.0
"""The smallest distance of two names, in pixels."""


class Moment(NamedTuple):
    """One reading: its time in seconds since the panel's start, and each container's values.

    These are its part of the CPU time since the last reading, and its shares.
    """

    time_s: float
    parts: tuple[float, ...]
    shares: tuple[int, ...]

    @property
    def expected(self) -> tuple[float, ...]:
        """The parts that are expected for these shares."""
        return expected_parts(self.shares)


def draw(moments: Sequence[Moment], names: Sequence[str]) -> str:
    """Draw the last `SPAN_S` seconds as an SVG element; `names` are the containers' names."""
    now_s = moments[-1].time_s if moments else 0.0
    shown = [moment for moment in moments if moment.time_s >= now_s - SPAN_S]
    parts = [*_frame(now_s), *_curves(shown, now_s), *_names(shown, names)]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{html.escape(alt(shown, names))}" '
        'style="max-width:100%;background:white;font-family:DejaVu Sans,Verdana,sans-serif">'
        f"{''.join(parts)}</svg>"
    )


def alt(moments: Sequence[Moment], names: Sequence[str]) -> str:
    """A description of the chart's present content."""
    if not moments:
        return "The part of the CPU each container gets; nothing measured yet."
    last = moments[-1]
    each = "; ".join(
        f"{name} {part:.0%}, expected {expected:.0%}"
        for name, part, expected in zip(names, last.parts, last.expected, strict=True)
    )
    return f"The part of the CPU each container gets, live: {each}."


def _x(time_s: float, now_s: float) -> float:
    return WIDTH - RIGHT - (now_s - time_s) / SPAN_S * (WIDTH - LEFT - RIGHT)


def _y(part: float) -> float:
    return TOP + (1 - part) * (HEIGHT - TOP - BOTTOM)


def _frame(now_s: float) -> Iterator[str]:
    quiet = f'fill="{style.QUIET}" font-size="12"'
    for percent in (0, 25, 50, 75, 100):
        y = _y(percent / 100)
        yield (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.0f}" y2="{y:.0f}" '
            f'stroke="{style.GRID}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end" {quiet}>{percent}%</text>'
        )
    note = f'x="{WIDTH - 4}" y="{HEIGHT - 14}" text-anchor="end"'
    yield f"<text {note} {quiet}>dashed: expected</text>"
    for ago in (20, 15, 10, 5, 0):
        x, words = _x(now_s - ago, now_s), f"{ago} s ago" if ago else "now"
        yield f'<text x="{x:.0f}" y="{HEIGHT - 14}" text-anchor="middle" {quiet}>{words}</text>'


def _curves(moments: Sequence[Moment], now_s: float) -> Iterator[str]:
    if not moments:
        return
    for number in range(len(moments[0].parts)):
        expected = _points([(moment.time_s, moment.expected[number]) for moment in moments], now_s)
        yield (
            f'<polyline points="{expected}" fill="none" stroke="{style.QUIET}" '
            'stroke-width="1.2" stroke-dasharray="5 4"/>'
        )
    for number in range(len(moments[0].parts)):
        measured = _points([(moment.time_s, moment.parts[number]) for moment in moments], now_s)
        yield (
            f'<polyline class="measured" points="{measured}" fill="none" '
            f'stroke="{style.colour(number)}" stroke-width="2.6"/>'
        )


def _points(curve: Sequence[tuple[float, float]], now_s: float) -> str:
    return " ".join(f"{_x(time_s, now_s):.1f},{_y(part):.1f}" for time_s, part in curve)


def _names(moments: Sequence[Moment], names: Sequence[str]) -> Iterator[str]:
    if not moments:
        return
    parts = moments[-1].parts
    heights = style.spread([_y(part) for part in parts], NAME_GAP)
    for number, (name, part, height) in enumerate(zip(names, parts, heights, strict=True)):
        yield (
            f'<text x="{WIDTH - RIGHT + 8}" y="{height + 4:.0f}" font-size="13" '
            f'font-weight="bold" fill="{style.readable(number)}">'
            f"{html.escape(name)}: {part:.0%}</text>"
        )
