"""The firewall's rules: derived from the networks and ports, and set again after a change.

The same happens with the links that forward packets (`forwarding`), and with the ways through
other programs' firewalls (`passage`).
"""

import ipaddress
import threading
from collections.abc import Callable, Iterable, Iterator

from labkit.log import LABKITD
from labkit.networks import firewall, flows, surroundings
from labkit.networks.firewall import Forward
from labkit.networks.forwarding import Closed, Forwarding
from labkit.networks.model import BRIDGE, Endpoint, Network, PublishedPort, Sandbox
from labkit.networks.passage import Passage
from labkit.networks.passage.ways import ways
from labkit.networks.surroundings import Surroundings
from labkit.networks.watching import Watcher

Present = Callable[[], tuple[list[Network], list[Forward]]]
"""Returns the networks that have a bridge, and the published ports."""


class Rules:
    """The firewall rules and the forwarding of one engine.  Thread-safe."""

    def __init__(self, prefix: str, run: str, present: Present) -> None:
        """`prefix` names its table (`labkit.ownership.link_prefix`)."""
        self._prefix = prefix
        self._present = present
        self._lock = threading.Lock()
        self._forwarding = Forwarding(run)
        self._passage = Passage(prefix, run)
        self._around: Surroundings | None = None
        """The host's other links; None if they must be looked up again."""
        self._networks: list[tuple[str, bool, set[int]]] = []
        """The networks that the ways through other firewalls were made for."""
        self._closed = Closed()
        self._text = ""
        """The rules as they were last set."""
        self._forwarded: list[Forward] = []
        """The published ports in the rules; none when the daemon starts."""
        self._failed: list[str] = []
        self._watcher: Watcher | None = None
        self.are_stale = False
        """Whether a bridge has been made since the last refresh."""

    def refresh(self) -> None:
        """Update the rules; this waits for nft."""
        with self._lock:
            networks, forwards = self._present()
            known = [(network.bridge, network.internal, network.versions) for network in networks]
            is_new = self._around is None or known != self._networks
            if is_new:
                self._look(networks)
            text = firewall.ruleset(self._prefix, networks, forwards, self._closed)
            # A machine without nft has no rules that a daemon without networks would remove.
            if text != self._text and (networks or not firewall.trouble()):
                firewall.apply(text)
                self._text = text
                flows.forget_stale(self._forwarded, forwards)
                self._forwarded = forwards
            if is_new:
                self._open(networks)
                self._networks = known
            self.are_stale = False

    def _look(self, networks: list[Network]) -> None:
        """Look up the host's other links, and decide which links must forward packets."""
        if networks and self._watcher is None:
            self._watcher = Watcher(self._prefix, self._forwarding.is_opened, self._look_again)
        elif not networks:
            self._stop_watching()
        self._around = surroundings.look()
        outward = (network for network in networks if not network.internal)
        versions = {version for network in outward for version in network.versions}
        self._closed = self._forwarding.plan(self._around, versions)

    def _open(self, networks: list[Network]) -> None:
        """Let packets through, in other firewalls too, once the rules are in place."""
        assert self._around is not None  # noqa: S101 `_look` has found it
        self._forwarding.open(n.bridge for n in networks if not n.internal)
        failed = self._passage.ensure(ways(networks, self._around.outward))
        for words in failed:
            if words not in self._failed:
                LABKITD.line(words)
        self._failed = failed

    def _stop_watching(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.close()

    def _look_again(self) -> None:
        """React to another program's change of the host's rules, links or forwarding."""
        with self._lock:
            self._around = None
            if self._watcher is not None and not firewall.stands(self._prefix):
                self._text = "unknown"
        self.refresh()

    def distrust(self) -> None:
        """Set the rules at the next refresh in any case: they may have changed."""
        self._text = "unknown"
        self._around = None

    def close(self) -> None:
        """Stop watching at the daemon's end; what containers need remains."""
        with self._lock:
            self._stop_watching()


def way_in(sandbox: Sandbox) -> Endpoint | None:
    """Return where packets to published ports enter a container: no internal network."""
    bridged = [endpoint for endpoint in sandbox.endpoints if endpoint.driver == BRIDGE]
    return _first(bridged)


def way_out(sandbox: Sandbox) -> Endpoint | None:
    """Return where a container's default route leads: no internal network."""
    return _first(sandbox.endpoints)


def _first(endpoints: Iterable[Endpoint]) -> Endpoint | None:
    outward = [endpoint for endpoint in endpoints if endpoint.gateway]
    return max(outward, key=lambda endpoint: endpoint.priority, default=None)


def relayed(sandbox: Sandbox) -> list[PublishedPort]:
    """Return the ports of a container that a process must serve (`needs_relay`)."""
    endpoint = way_in(sandbox)
    if endpoint is None:
        return []
    return [port for port in sandbox.ports if needs_relay(port, endpoint)]


def needs_relay(port: PublishedPort, endpoint: Endpoint) -> bool:
    """Whether the kernel cannot forward a port: from IPv6 to IPv4, and from IPv6's loopback."""
    if ":" not in port.host_ip:
        return False
    return not endpoint.ipv6_address or ipaddress.ip_address(port.host_ip).is_loopback


def forwards_to(sandboxes: Iterable[Sandbox], *, by_relay: bool = False) -> Iterator[Forward]:
    """Yield the published ports of running containers.

    `by_relay`: a process connects to the container, so a port of IPv6 may lead to IPv4.
    """
    for sandbox in sandboxes:
        endpoint = way_in(sandbox)
        if endpoint is None:
            continue
        for port in sandbox.ports:
            if by_relay and not port.host_port:
                continue
            if not by_relay and needs_relay(port, endpoint):
                continue
            is_6 = ":" in port.host_ip
            address = endpoint.ipv6_address if is_6 else endpoint.ipv4_address
            if by_relay:
                address = address or endpoint.ipv4_address
            if address:
                yield Forward(
                    port.protocol, port.host_ip, port.host_port, address, port.container_port
                )
