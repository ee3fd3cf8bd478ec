"""The names on each network, derived from the running containers.  Pure.

Nothing of this is on disk: it follows from the runs (`labkit.networks.model.Sandbox`), and is made
again when they change.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from labkit.networks.model import Endpoint, Network, Sandbox


class Zone:
    """The names and addresses on one network."""

    def __init__(self, network: str) -> None:
        self.network = network.lower()
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._names: dict[str, str] = {}
        """The first name of the endpoint with each address."""

    def add(self, endpoint: Endpoint) -> None:
        """Add a container's endpoint on the network."""
        for name in dict.fromkeys(name.lower() for name in endpoint.names):
            self._endpoints.setdefault(name, []).append(endpoint)
        for address in (endpoint.ipv4_address, endpoint.ipv6_address):
            if address and endpoint.names:
                self._names[address] = f"{endpoint.names[0]}.{self.network}"

    def find(self, name: str) -> list[Endpoint]:
        """The endpoints with a name, which may end in the network's, in order of start."""
        plain = name.removesuffix(f".{self.network}")
        return self._endpoints.get(name) or self._endpoints.get(plain) or []

    def name_of(self, address: str) -> str:
        """The name for an address, with the network's name; empty if no container has it."""
        return self._names.get(address, "")


class Found(NamedTuple):
    """The addresses of a name."""

    ipv4: list[str]
    ipv6: list[str]


class Table:
    """The names on every network."""

    def __init__(self, networks: Iterable[Network], sandboxes: Iterable[Sandbox]) -> None:
        self._zones = {network.id: Zone(network.name) for network in networks}
        self._sandboxes: Mapping[str, Sandbox] = {s.container_id: s for s in sandboxes}
        for sandbox in self._sandboxes.values():
            for endpoint in sandbox.endpoints:
                if endpoint.network_id in self._zones:
                    self._zones[endpoint.network_id].add(endpoint)

    def find(self, container_id: str, name: str) -> Found | None:
        """The addresses of a name for one container; None if its networks do not know the name.

        The first of its networks that knows the name answers.  `name` is in lower case.
        """
        for endpoint, zone in self._zones_of(container_id):
            known = zone.find(_linked(endpoint, name)) or zone.find(name)
            if known:
                return Found(
                    [e.ipv4_address for e in known if e.ipv4_address],
                    [e.ipv6_address for e in known if e.ipv6_address],
                )
        return None

    def name_of(self, container_id: str, address: str) -> str:
        """The container with an address on a network of this one, as `name.network`, or empty."""
        for _, zone in self._zones_of(container_id):
            if name := zone.name_of(address):
                return name
        return ""

    def servers(self, container_id: str) -> list[str]:
        """The DNS servers for a container's other names; none if it has no way outside."""
        sandbox = self._sandboxes.get(container_id)
        if sandbox is None or not any(e.gateway or e.ipv6_gateway for e in sandbox.endpoints):
            return []
        return sandbox.dns

    def _zones_of(self, container_id: str) -> Iterable[tuple[Endpoint, Zone]]:
        sandbox = self._sandboxes.get(container_id)
        for endpoint in sandbox.endpoints if sandbox else ():
            if endpoint.network_id in self._zones:
                yield endpoint, self._zones[endpoint.network_id]


def _linked(endpoint: Endpoint, name: str) -> str:
    """The name behind an alias that only this container has for another (`--link`)."""
    links = {alias.lower(): other.lower() for alias, other in endpoint.links.items()}
    return links.get(name, name)
