"""The picture of a demo: an SVG of fixed size, in which no letter is smaller than 22 units.

The page scales it to the window: a unit is a pixel where the page has 1280×720 of them, and 0.9 of
one where the browser keeps a part of that for itself.
"""

import html
from collections.abc import Sequence

from labkit.course.figures import style

WIDTH, HEIGHT = 900, 520
LETTERS = 22
LETTER_WIDTH = 0.6
"""A letter's width, as a part of its height: DejaVu Sans is wide."""
NAVY, CRIMSON, TEAL, AMBER = style.PALETTE
PALE, QUIET, INK, WHITE = style.PALE, style.QUIET, style.INK, "#FFFFFF"
CALM, GOOD, BAD = "#F3F5F7", "#DDEFED", "#F7E0E7"
"""Faces behind dark letters: nothing happened, it is right, it is not."""
_DARK = frozenset({NAVY, CRIMSON, TEAL, QUIET, INK})

Point = tuple[float, float]


class Canvas:
    """Shapes in the order in which they are drawn; `alt` says in words what is to be seen."""

    def __init__(self, alt: str) -> None:
        self.alt = alt
        self._parts: list[str] = []

    def words(
        self,
        at: Point,
        text: str,
        *,
        size: float = LETTERS,
        anchor: str = "start",
        ink: str = INK,
        bold: bool = False,
        code: bool = False,
        width: float = 0,
        halo: bool = False,
    ) -> None:
        """A line of text; `at` is the left (or middle, or end) of its baseline.

        A line that is longer than `width` is cut.  A white halo keeps it readable above lines.
        """
        if width:
            text = cut(text, width, size)
        look = ' font-weight="bold"' if bold else ""
        look += ' stroke="white" stroke-width="7" paint-order="stroke"' if halo else ""
        look += ' font-family="DejaVu Sans Mono,monospace"' if code else ""
        self._parts.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
            f'fill="{ink}"{look} xml:space="preserve">{html.escape(text)}</text>'
        )

    def box(
        self,
        corner: Point,
        size: Point,
        *lines: str,
        face: str = CALM,
        edge: str = QUIET,
        thick: float = 1.5,
        dashed: bool = False,
        bold: bool = True,
        code: bool = False,
    ) -> None:
        """A box with lines of text in its middle, the first of them bold."""
        (x, y), (width, height) = corner, size
        dash = ' stroke-dasharray="7 5"' if dashed else ""
        self._parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0, width):.1f}" '
            f'height="{max(0, height):.1f}" rx="6" fill="{face}" stroke="{edge}" '
            f'stroke-width="{thick:g}"{dash}/>'
        )
        ink = WHITE if face in _DARK else INK
        step = LETTERS * 1.3
        top = y + height / 2 - step * (len(lines) - 1) / 2 + LETTERS * 0.36
        for number, line in enumerate(lines):
            self.words(
                (x + width / 2, top + number * step),
                line,
                anchor="middle",
                ink=ink,
                bold=bold and not number,
                code=code,
                width=width - 10,
            )

    def line(
        self, start: Point, end: Point, *, ink: str = QUIET, thick: float = 2, dashed: bool = False
    ) -> None:
        """A straight line."""
        dash = ' stroke-dasharray="7 5"' if dashed else ""
        self._parts.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
            f'stroke="{ink}" stroke-width="{thick:g}"{dash}/>'
        )

    def arrow(self, start: Point, end: Point, *, ink: str = QUIET, thick: float = 2) -> None:
        """A straight line with a head at its end."""
        (x1, y1), (x2, y2) = start, end
        length = max(1.0, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
        along, across = ((x2 - x1) / length, (y2 - y1) / length), 6 + thick
        back = (x2 - along[0] * 2 * across, y2 - along[1] * 2 * across)
        self.line(start, back, ink=ink, thick=thick)
        left = (back[0] - along[1] * across, back[1] + along[0] * across)
        right = (back[0] + along[1] * across, back[1] - along[0] * across)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in ((x2, y2), left, right))
        self._parts.append(f'<polygon points="{points}" fill="{ink}"/>')

    def curve(self, points: Sequence[Point], *, ink: str = NAVY, thick: float = 4) -> None:
        """A line through points."""
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(
            f'<polyline points="{joined}" fill="none" stroke="{ink}" stroke-width="{thick:g}"/>'
        )

    def disc(self, middle: Point, radius: float, *, face: str, edge: str = WHITE) -> None:
        """A disc."""
        self._parts.append(
            f'<circle cx="{middle[0]:.1f}" cy="{middle[1]:.1f}" r="{radius:g}" fill="{face}" '
            f'stroke="{edge}" stroke-width="2"/>'
        )

    def svg(self) -> str:
        """The whole picture as an element of HTML."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(self.alt)}" '
            'style="width:100%;height:100%;background:white;'
            f'font-family:DejaVu Sans,Verdana,sans-serif">{"".join(self._parts)}</svg>'
        )


def cut(text: str, width: float, size: float = LETTERS) -> str:
    """The text as far as `width` units hold it, with an ellipsis for the rest."""
    most = int(width / (size * LETTER_WIDTH))
    return text if len(text) <= most else text[: max(0, most - 1)] + "…"
