"""The network map: containers, cables, bridges, address translation, read from the kernel itself.

The engine gives only the containers' names and process ids.  The ends of each cable are read over
netlink, in each container's namespace and outside; address translation is read from nftables.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.client import Client
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.networks import netlink

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

AF_INET = 2
NOT_PLUGGED = "–"


@dataclass(frozen=True)
class Cable:
    """A pair of interfaces: one in a container, the other on the host, attached to a bridge."""

    container: str
    inside: str
    address: str
    outside: str
    bridge: str


@dataclass(frozen=True)
class Bridge:
    """A switch in software; its own address is the containers' gateway."""

    name: str
    address: str
    is_translated: bool
    """Whether packets that leave it get the host's address (a masquerade rule of its subnet)."""


@dataclass(frozen=True)
class NetworkMap:
    """The whole map; `published` are host ports such as `8080/tcp`, with their targets."""

    containers: tuple[str, ...]
    bridges: tuple[Bridge, ...]
    cables: tuple[Cable, ...]
    published: tuple[tuple[str, str], ...]
    uplink: str
    """The host's interface to the outside; empty if it has none."""

    @property
    def unplugged(self) -> tuple[str, ...]:
        """Containers without a cable."""
        plugged = {cable.container for cable in self.cables}
        return tuple(name for name in self.containers if name not in plugged)

    def ports_of(self, address: str) -> tuple[str, ...]:
        """The host's ports that lead to an address (`10.0.0.2`)."""
        return tuple(port for port, to in self.published if to.rpartition(":")[0] == address)

    def table(self) -> Table:
        """A row for each cable, and for each container without one."""
        rows = [
            (
                cable.container,
                cable.inside,
                cable.address,
                cable.outside,
                cable.bridge,
                ", ".join(self.ports_of(cable.address)) or NOT_PLUGGED,
            )
            for cable in self.cables
        ]
        rows += [(name, *(NOT_PLUGGED,) * 5) for name in self.unplugged]
        return Table(
            ("container", "inside", "address", "on the host", "bridge", "published"), tuple(rows)
        )

    def plot(self) -> "Figure":
        """Draw containers above, bridges below them, the host's uplink at the bottom."""
        return plot_map(self)


def network_map(client: Client, *names: str) -> NetworkMap:
    """The present map of the named containers, or of all that run."""
    running = sorted(client.containers.list(), key=lambda one: one.name)
    if names:
        running = [one for one in running if one.name in names]
    pids = {one.name: int(one.attrs["State"]["Pid"]) for one in map(_fresh, running)}
    with netlink.host() as host:
        links = {link["index"]: link for link in host.get_links()}
        own = {
            address["index"]: address.get("address") for address in host.get_addr(family=AF_INET)
        }
        uplink = next(
            (links[found.get("oif")].get("ifname") for found in host.get_default_routes(AF_INET)),
            "",
        )
    cables = tuple(cable for name, pid in pids.items() for cable in _cables(name, pid, links))
    rules = rules_of(_ruleset())
    bridges = tuple(
        Bridge(name, own.get(index, ""), is_translated(rules, name))
        for index, link in sorted(links.items())
        if (name := link.get("ifname")) in {cable.bridge for cable in cables}
    )
    addresses = {cable.address for cable in cables}
    published = [
        (port, to) for port, to in published_in(rules) if to.rpartition(":")[0] in addresses
    ]
    return NetworkMap(tuple(pids), bridges, cables, tuple(published), uplink)


def _fresh(container: Any) -> Any:
    container.reload()
    return container


def _cables(container: str, pid: int, host_links: Mapping[int, Any]) -> Iterator[Cable]:
    """Follow each interface of a namespace to its other end: a veth has its peer's number."""
    with netlink.inside(f"/proc/{pid}/ns/net") as inside:
        links = list(inside.get_links())
        addresses = {one["index"]: one.get("address") for one in inside.get_addr(family=AF_INET)}
    for link in links:
        peer = host_links.get(link.get("link"))
        # A container with the host's network sees the host's own cables: their peers are elsewhere.
        if peer is None or peer.get("link") != link["index"] or link["index"] in _same(links, peer):
            continue
        bridge = host_links.get(peer.get("master"))
        yield Cable(
            container,
            link.get("ifname"),
            addresses.get(link["index"]) or NOT_PLUGGED,
            peer.get("ifname"),
            bridge.get("ifname") if bridge else NOT_PLUGGED,
        )


def _same(links: Sequence[Any], peer: Any) -> set[int]:
    """The numbers of links here that *are* the peer: then both are in the same namespace."""
    return {one["index"] for one in links if one.get("ifname") == peer.get("ifname")}


def _ruleset() -> Any:
    done = subprocess.run(
        ["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else {}


def rules_of(ruleset: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """The expressions of every rule in nft's JSON (libnftables-json(5))."""
    return [one["rule"]["expr"] for one in ruleset.get("nftables", ()) if "rule" in one]


def is_translated(rules: Sequence[Sequence[Mapping[str, Any]]], bridge: str) -> bool:
    """Whether a rule masquerades packets that leave by any link but this bridge."""
    leaves = {"left": {"meta": {"key": "oifname"}}, "op": "!=", "right": bridge}
    return any(
        any("masquerade" in part for part in rule) and any(_matches(part, leaves) for part in rule)
        for rule in rules
    )


def _matches(part: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    found = part.get("match", {})
    return all(found.get(key) == value for key, value in wanted.items())


def published_in(rules: Sequence[Sequence[Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """(`8080/tcp`, `10.0.0.2:80`) for each rule that redirects the packets of a port."""
    found = []
    for rule in rules:
        target = next((part["dnat"] for part in rule if "dnat" in part), None)
        for part in rule:
            left = part.get("match", {}).get("left", {}).get("payload", {})
            if isinstance(target, dict) and left.get("field") == "dport":
                port = f"{part['match']['right']}/{left['protocol']}"
                found.append((port, f"{target.get('addr')}:{target.get('port')}"))
    return found


# The picture of `network_map`: containers, the cables down to their bridges, the way out.


CONTAINERS, BRIDGES, UPLINK = 3.55, 1.35, 0.0
"""The heights of the three rows of boxes."""
CALM = "#F3F5F7"


def plot_map(found: NetworkMap) -> Figure:
    """Draw every container, cable and bridge; containers without a cable are grey."""
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
    """The sort key that puts containers of one bridge side by side."""
    bridges = [bridge.name for bridge in found.bridges]
    own = [bridges.index(one.bridge) for one in found.cables if one.container == name]
    return (min(own, default=len(bridges)), name)


def _bridge_places(found: NetworkMap, width: int) -> dict[str, tuple[float, float]]:
    """The left and right end of each bridge: they share the width."""
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
    """The upper and lower end of a cable: sockets are in the order of the containers."""

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
    """Draw the bridges, the uplink, and the connections between them."""
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
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

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
