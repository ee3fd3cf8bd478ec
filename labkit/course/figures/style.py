"""The one visual style of the course: colours, lines, letters, and names of curves.

The four colours differ in lightness (for a grey print or a bad projector), and no common form of
colour blindness makes two of them look alike; a test measures both.  A name is at the end of its
curve, not in a legend.  An expected value is always the same thin dashed line, so that readers
learn once how to see whether a prediction held.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PALETTE = ("#12304F", "#AD2F55", "#2A9287", "#DB9A1E")
"""From dark to light: navy, crimson, teal, amber."""
DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
"""The line styles: the fifth curve has the first colour again, but in the second style."""
DASHED = (0, (4, 3))
"""The line style for an expected value, or for a limit."""
INK = "#1F2328"
QUIET = "#656D76"
GRID = "#E4E7EB"
PALE = "#DDE3EA"
"""The background of dark letters: for the host's or the engine's parts, or shared ones."""
GUESS = "#7A3FA0"
"""The colour of the learner's prediction."""

WIDTH_IN = 7.6
"""The width of every figure, that of a notebook's column, in inches."""
DOTS_PER_INCH = 150
NOTE_TOP_IN = 0.06
"""The distance of a headline's note from the picture's upper edge, in inches."""

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 9,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 2.2,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def colour(number: int) -> str:
    """The colour of a curve, bar or phase by its number (from 0)."""
    return PALETTE[number % len(PALETTE)]


def dash(number: int) -> Any:
    """The line style of a curve by its number (from 0), as matplotlib's `linestyle`."""
    return DASHES[number // len(PALETTE) % len(DASHES)]


@contextmanager
def picture(height_in: float) -> Iterator[Any]:
    """Make a matplotlib figure in the course's style; draw on it inside the `with`.

    It is not pyplot's: nothing is shown twice, and no figure stays open in the background.
    """
    from matplotlib import rc_context  # noqa: PLC0415 importing it takes a second on a slow machine
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context(SETTINGS):
        yield Figure(figsize=(WIDTH_IN, height_in), dpi=DOTS_PER_INCH, layout="constrained")


def expected_line(axes: Any, value: float, start: float, end: float) -> None:
    """Draw the thin dashed line for an expected value, from `start` to `end` on the x axis."""
    axes.plot([start, end], [value, value], color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)))


def headline(drawing: Any, finding: str, note: str = "") -> None:
    """Write the finding as a sentence above the picture, and a note on its marks at the right."""
    drawing.suptitle(finding, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK)
    top = 1 - NOTE_TOP_IN / drawing.get_figheight()
    drawing.text(0.988, top, note, ha="right", va="top", fontsize=8.5, color=QUIET)


def name_at_end(axes: Any, x: float, y: float, text: str, curve: int | str) -> None:
    """Write a curve's name to the right of its end; `curve` is its number or its colour."""
    axes.annotate(
        text,
        (x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=readable(curve) if isinstance(curve, int) else curve,
        fontweight="bold" if isinstance(curve, int) else "normal",
        annotation_clip=False,
    )


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Move the values apart, as little as possible, until neighbours are `gap` from each other.

    For names of curves that end close together; the order does not change.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    groups: list[tuple[list[int], float]] = []
    for index in order:
        members, middle = [index], values[index]
        while groups and middle - groups[-1][1] < gap * (len(members) + len(groups[-1][0])) / 2:
            members = groups.pop()[0] + members
            middle = sum(values[member] for member in members) / len(members)
        groups.append((members, middle))
    placed = [0.0] * len(values)
    for members, middle in groups:
        for position, member in enumerate(members):
            placed[member] = middle + gap * (position - (len(members) - 1) / 2)
    return placed


def readable(number: int) -> str:
    """The curve's colour, darkened so that letters in it can be read on white."""
    red, green, blue = (int(colour(number)[at : at + 2], 16) for at in (1, 3, 5))
    factor = min(1.0, 115 / max(1.0, 0.299 * red + 0.587 * green + 0.114 * blue))
    return "#{:02X}{:02X}{:02X}".format(*(int(part * factor) for part in (red, green, blue)))


def named_rows(axes: Any, labels: Sequence[str]) -> None:
    """Name the rows of a bar chart, the first at the top."""
    axes.set_yticks(range(len(labels)), labels, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(labels) - 0.4, -0.6)
