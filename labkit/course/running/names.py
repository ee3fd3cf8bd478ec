"""The three ways to name a container, drawn: the long id, the short id in it, and the name."""

from collections.abc import Sequence
from typing import Any

from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table

SHORT = 12


def least_digits(ids: Sequence[str]) -> list[int]:
    """The number of digits of each id that distinguish it from all others."""
    return [
        next(
            length
            for length in range(1, len(own) + 1)
            if not any(other != own and other.startswith(own[:length]) for other in ids)
        )
        for own in ids
    ]


def names(containers: Sequence[Container]) -> Figure:
    """Draw each container's name and its id; the short id and the sufficient digits are marked."""
    ids = [one.id for one in containers]
    enough = least_digits(ids)
    with style.picture(height_in=0.8 + 0.26 * len(ids)) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(-12, 64.5), ylim=(len(ids) - 0.3, -1.1))
        axes.set_axis_off()
        for start, words in ((-12, "name"), (0, "short id: 12 digits"), (25, "long id: all 64")):
            axes.text(start, -0.75, words, fontsize=8.5, color=style.QUIET)
        for row, (one, least) in enumerate(zip(containers, enough, strict=True)):
            axes.text(-12, row, one.name, fontweight="bold", va="center", fontsize=9)
            for place, digit in enumerate(one.id):
                _digit(axes, place, row, digit, least)
        style.headline(drawing, "Three names for one container", "dark: digits that are enough")
    table = Table(
        ("name", "short id", "digits that are enough", "long id"),
        tuple(
            (one.name, one.short_id, one.id[:least], one.id)
            for one, least in zip(containers, enough, strict=True)
        ),
    )
    each = "; ".join(
        f"{one.name}: short id {one.short_id}, {least} digits are enough"
        for one, least in zip(containers, enough, strict=True)
    )
    alt = f"The 64 digits of the ids of {len(ids)} containers, the first twelve marked. {each}."
    return Figure(drawing, alt=alt, table=table)


def _digit(axes: Any, place: int, row: int, digit: str, least: int) -> None:
    is_enough, is_short = place < least, place < SHORT
    back = style.colour(0) if is_enough else "#DDE3EA" if is_short else "white"
    axes.text(
        place + 0.5,
        row,
        digit,
        ha="center",
        va="center",
        fontfamily="DejaVu Sans Mono",
        fontsize=7.2,
        color="white" if is_enough else style.INK if is_short else style.QUIET,
        bbox={"facecolor": back, "edgecolor": "none", "pad": 1.4},
    )
