"""The network map: containers, cables, bridges, address translation, read from the kernel itself.

The engine is asked only for the containers' names and process numbers.  Which cable ends where is
read over netlink, in each container's namespace and outside; what is translated, from nftables.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.client import Client
from labkit.course.figures.table import Table
from labkit.course.networks import netlink

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

AF_INET = 2
NOT_PLUGGED = "–"


@dataclass(frozen=True)
class Cable:
    """A pair of interfaces: one in a container, the other on the host, plugged into a bridge."""

    container: str
    inside: str
    address: str
    outside: str
    bridge: str


@dataclass(frozen=True)
class Bridge:
    """A switch in software; its own address is where its containers send all else."""

    name: str
    address: str
    is_translated: bool
    """Whether what leaves it takes on the host's address (a masquerade rule of its subnet)."""


@dataclass(frozen=True)
class NetworkMap:
    """What there is: `published` are host ports as `8080/tcp`, with the address they lead to."""

    containers: tuple[str, ...]
    bridges: tuple[Bridge, ...]
    cables: tuple[Cable, ...]
    published: tuple[tuple[str, str], ...]
    uplink: str
    """The host's interface towards the rest of the world; empty if it has none."""

    @property
    def unplugged(self) -> tuple[str, ...]:
        """Containers without a cable."""
        plugged = {cable.container for cable in self.cables}
        return tuple(name for name in self.containers if name not in plugged)

    def ports_of(self, address: str) -> tuple[str, ...]:
        """The host's ports that lead to an address (`10.0.0.2`)."""
        return tuple(port for port, to in self.published if to.rpartition(":")[0] == address)

    def table(self) -> Table:
        """A row a cable, and one for each container that has none."""
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
        """Containers above, bridges below them, the host's uplink at the bottom."""
        from labkit.course.networks.network_plot import plot_map  # noqa: PLC0415 matplotlib

        return plot_map(self)


def network_map(client: Client) -> NetworkMap:
    """The map as it is now, of all running containers of the engine."""
    running = sorted(client.containers.list(), key=lambda one: one.name)
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
    """Follow each interface of a namespace to its other end: a veth knows its peer's number."""
    with netlink.inside(f"/proc/{pid}/ns/net") as inside:
        links = list(inside.get_links())
        addresses = {one["index"]: one.get("address") for one in inside.get_addr(family=AF_INET)}
    for link in links:
        peer = host_links.get(link.get("link"))
        # A host-mode container sees the host's own cables: their peers are elsewhere.
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
    """The numbers of links here that *are* the peer: then this is no other namespace."""
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
    """Whether a rule masquerades what leaves by any link but this bridge."""
    leaves = {"left": {"meta": {"key": "oifname"}}, "op": "!=", "right": bridge}
    return any(
        any("masquerade" in part for part in rule) and any(_matches(part, leaves) for part in rule)
        for rule in rules
    )


def _matches(part: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    found = part.get("match", {})
    return all(found.get(key) == value for key, value in wanted.items())


def published_in(rules: Sequence[Sequence[Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """(`8080/tcp`, `10.0.0.2:80`) for each rule that gives a port's packets another destination."""
    found = []
    for rule in rules:
        target = next((part["dnat"] for part in rule if "dnat" in part), None)
        for part in rule:
            left = part.get("match", {}).get("left", {}).get("payload", {})
            if isinstance(target, dict) and left.get("field") == "dport":
                port = f"{part['match']['right']}/{left['protocol']}"
                found.append((port, f"{target.get('addr')}:{target.get('port')}"))
    return found
