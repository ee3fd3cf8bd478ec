"""The picture of `packet_way`: a column for each interface, there above and back below."""

from collections.abc import Sequence
from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.networks.packet_way import Hop, PacketWay

LANES = {"request": 1.62, "reply": 0.35}
"""The heights of the two directions."""
HALF = 0.4
"""Half the width of a card."""


def plot_way(way: PacketWay) -> Figure:
    """A card where it was seen; an address that was rewritten just before stands out."""
    count = len(way.places)
    with style.picture(height_in=3.5) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(-0.08, count + 0.02), ylim=(-0.25, 3.0))
        axes.set_axis_off()
        for column, place in enumerate(way.places):
            axes.text(column + 0.5, 2.78, place.name, ha="center", fontsize=9, fontweight="bold")
            axes.text(
                column + 0.5, 2.5, place.interface, ha="center", fontsize=7.5, color=style.QUIET
            )
            axes.plot([column + 0.5] * 2, [-0.2, 2.4], color=style.GRID, linewidth=1.2, zorder=0)
        for kind, height in LANES.items():
            _lane(axes, way, way.leg(kind), height)
        style.headline(drawing, _finding(way), "crimson: rewritten here")
    return Figure(drawing, alt=_alt(way), table=way.table())


def _lane(axes: Any, way: PacketWay, leg: Sequence[Hop], height: float) -> None:
    before: Hop | None = None
    for hop in leg:
        column = way.places.index(hop.place)
        _card(axes, column, height, hop, before)
        if before is not None:
            start = way.places.index(before.place)
            side = HALF if column > start else -HALF
            axes.annotate(
                "",
                (column + 0.5 - side, height),
                (start + 0.5 + side, height),
                arrowprops={
                    "arrowstyle": "-|>", "color": style.INK, "shrinkA": 0, "shrinkB": 0,
                },
            )  # fmt: skip
        before = hop


def _card(axes: Any, column: int, height: float, hop: Hop, before: Hop | None) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    axes.add_patch(
        Rectangle(
            (column + 0.5 - HALF, height - 0.45), 2 * HALF, 0.9,
            facecolor="#F3F5F7", edgecolor=style.colour(0), linewidth=1.1, zorder=2,
        )
    )  # fmt: skip
    lines = (("from", "source"), ("to", "destination"))
    for number, (word, field) in enumerate(lines):
        value = getattr(hop.echo, field)
        is_new = before is not None and getattr(before.echo, field) != value
        axes.text(
            column + 0.5 - HALF + 0.03, height + 0.27 - number * 0.24, f"{word} {value}",
            fontsize=7, va="center", zorder=3, fontweight="bold" if is_new else "normal",
            color=style.readable(1) if is_new else style.INK,
        )  # fmt: skip
    axes.text(
        column + 0.5 - HALF + 0.03, height - 0.25, f"{hop.echo.kind}, TTL {hop.echo.ttl}",
        fontsize=7, va="center", color=style.QUIET, zorder=3,
    )  # fmt: skip


def _finding(way: PacketWay) -> str:
    if not way.rewritten:
        return "One ping, and no address changes"
    before, after = way.rewritten[0]
    return f"Out as {after}, not as {before}"


def _alt(way: PacketWay) -> str:
    legs = "; ".join(
        f"the {kind}: "
        + ", ".join(
            f"at {hop.place.name} from {hop.echo.source} to {hop.echo.destination}"
            for hop in way.leg(kind)
        )
        for kind in LANES
    )
    return f"A ping's way, seen at {len(way.places)} interfaces; {legs}. {_finding(way)}."
