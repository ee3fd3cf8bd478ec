"""The picture of `network_map`: containers, the cables down to their bridges, the way out."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.networks.network_map import Cable, NetworkMap

CONTAINERS, BRIDGES, UPLINK = 3.55, 1.35, 0.0
"""The heights of the three rows of boxes."""
CALM = "#F3F5F7"


def plot_map(found: NetworkMap) -> Figure:
    """Every container, cable and bridge there is; unplugged containers stand in grey."""
    names = sorted(found.containers, key=lambda name: _order(found, name))
    places = {name: column + 0.5 for column, name in enumerate(names)}
    width = max(len(names), 2)
    with style.picture(height_in=4.7) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, width), ylim=(-0.35, 4.3))
        axes.set_axis_off()
        bridges = _bridge_places(found, width)
        for cable in found.cables:
            _cable(axes, cable, places, bridges, found)
        for name, x in places.items():
            _container(axes, name, x, name in found.unplugged)
        _host(axes, found, bridges, width)
        plugged = len(found.containers) - len(found.unplugged)
        style.headline(
            drawing, f"{plugged} of {len(names)} containers are plugged in", "read from the kernel"
        )
    return Figure(drawing, alt=_alt(found), table=found.table())


def _order(found: NetworkMap, name: str) -> tuple[int, str]:
    """Containers of one bridge stand side by side."""
    bridges = [bridge.name for bridge in found.bridges]
    own = [bridges.index(one.bridge) for one in found.cables if one.container == name]
    return (min(own, default=len(bridges)), name)


def _bridge_places(found: NetworkMap, width: int) -> dict[str, tuple[float, float]]:
    """Each bridge's left and right end: they share the width."""
    count = len(found.bridges)
    step = width / max(count, 1)
    return {
        bridge.name: (number * step + 0.08, (number + 1) * step - 0.08)
        for number, bridge in enumerate(found.bridges)
    }


def _cable(
    axes: Any,
    cable: Cable,
    places: dict[str, float],
    bridges: dict[str, tuple[float, float]],
    found: NetworkMap,
) -> None:
    if cable.bridge not in bridges:
        return
    top, bottom = _ends(cable, places, bridges[cable.bridge], found)
    tone = style.colour(1 + list(bridges).index(cable.bridge) % 3)
    bends = (
        (top, CONTAINERS),
        (top, CONTAINERS - 0.85),
        (bottom, BRIDGES + 0.7),
        (bottom, BRIDGES),
    )
    axes.plot(*zip(*bends, strict=True), color=tone, zorder=1)
    words: Any = {"ha": "center", "va": "center", "fontsize": 7.2, "zorder": 3}
    paper: Any = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.text(top, CONTAINERS - 0.6, f"{cable.inside}\n{cable.address}", bbox=paper, **words)
    axes.text(bottom, BRIDGES + 0.48, cable.outside, bbox=paper, color=style.QUIET, **words)
    for port in found.ports_of(cable.address):
        axes.text(top, CONTAINERS + 0.45, f"host port {port}", color=style.readable(1), **words)


def _ends(
    cable: Cable, places: dict[str, float], bridge: tuple[float, float], found: NetworkMap
) -> tuple[float, float]:
    """Where a cable begins above and ends below: sockets stand in the order of the containers."""

    def top(one: Cable) -> float:
        mine = [other for other in found.cables if other.container == one.container]
        return places[one.container] + (mine.index(one) - (len(mine) - 1) / 2) * 0.48

    beside = sorted((one for one in found.cables if one.bridge == cable.bridge), key=top)
    start, end = bridge
    return top(cable), start + (beside.index(cable) + 0.5) * (end - start) / len(beside)


def _container(axes: Any, name: str, x: float, is_alone: bool) -> None:
    edge = style.QUIET if is_alone else style.colour(0)
    _box(axes, (x - 0.42, CONTAINERS - 0.25), 0.84, CALM if is_alone else "#DDE3EA", edge)
    note = "\nno cable" if is_alone else ""
    axes.text(
        x, CONTAINERS, f"{name}{note}", ha="center", va="center", fontsize=9,
        color=style.QUIET if is_alone else style.INK, zorder=5, linespacing=1.1,
    )  # fmt: skip


def _host(
    axes: Any, found: NetworkMap, bridges: dict[str, tuple[float, float]], width: int
) -> None:
    """The bridges, the uplink, and the ways between them."""
    middle: Any = {"ha": "center", "va": "center", "zorder": 5}
    _box(axes, (0.08, UPLINK - 0.25), width - 0.16, CALM, style.INK)
    way_out = f"host: {found.uplink}" if found.uplink else "host"
    axes.text(width / 2, UPLINK, way_out, fontsize=9, **middle)
    for number, bridge in enumerate(found.bridges):
        start, end = bridges[bridge.name]
        tone = style.colour(1 + number % 3)
        _box(axes, (start, BRIDGES - 0.25), end - start, tone, tone)
        ink = style.INK if number % 3 == 2 else "white"
        words = f"bridge {bridge.name}\n{bridge.address}"
        axes.text(
            (start + end) / 2, BRIDGES, words, fontsize=8, color=ink, linespacing=1.2, **middle
        )
        x = (start + end) / 2
        line: Any = {"color": style.INK if bridge.is_translated else style.GRID, "zorder": 1}
        axes.plot([x, x], [BRIDGES - 0.25, UPLINK + 0.25], linewidth=1.4, **line)
        says = "NAT: leaves as the host" if bridge.is_translated else "no way out"
        paper: Any = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axes.text(x, (BRIDGES + UPLINK) / 2, says, fontsize=8, bbox=paper, **middle)


def _box(axes: Any, corner: tuple[float, float], width: float, face: str, edge: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only for who draws

    axes.add_patch(
        Rectangle(corner, width, 0.5, facecolor=face, edgecolor=edge, linewidth=1.3, zorder=4)
    )


def _alt(found: NetworkMap) -> str:
    cables = "; ".join(
        f"{one.container} has {one.inside} {one.address}, by {one.outside} in {one.bridge}"
        for one in found.cables
    )
    alone = f" Without a cable: {', '.join(found.unplugged)}." if found.unplugged else ""
    ports = "".join(f" Port {port} of the host leads to {to}." for port, to in found.published)
    nat = ", ".join(bridge.name for bridge in found.bridges if bridge.is_translated)
    out = f" By NAT to the outside: {nat}." if nat else ""
    return f"A map of containers, cables and bridges. {cables or 'No cables'}.{alone}{ports}{out}"
