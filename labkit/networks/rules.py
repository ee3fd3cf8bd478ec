"""The firewall's rules: derived from what there is, and set anew when that has changed."""

import threading
from collections.abc import Callable, Iterable, Iterator

from labkit.networks import firewall, flows
from labkit.networks.firewall import Forward
from labkit.networks.model import Endpoint, Network, Sandbox

Present = Callable[[], tuple[list[Network], list[Forward]]]
"""The networks that have a link, and the published ports, at the moment of the call."""


class Rules:
    """What one engine has the firewall say.  Thread-safe."""

    def __init__(self, prefix: str, present: Present) -> None:
        """`prefix` names its table (`labkit.ownership.link_prefix`)."""
        self._prefix = prefix
        self._present = present
        self._lock = threading.Lock()
        self._text = ""
        """As they were set last."""
        self._forwarded: list[Forward] = []
        """The published ports that they have, none when the daemon starts."""
        self.are_stale = False
        """Whether a link has been made since."""

    def refresh(self) -> None:
        """Make the rules say what is so; this waits for nft."""
        with self._lock:
            networks, forwards = self._present()
            text = firewall.ruleset(self._prefix, networks, forwards)
            if text != self._text:
                firewall.apply(text)
                self._text = text
                flows.forget_stale(self._forwarded, forwards)
                self._forwarded = forwards
            self.are_stale = False

    def distrust(self) -> None:
        """Set them at the next refresh all the same: who knows what they are by now."""
        self._text = "unknown"


def way_in(sandbox: Sandbox) -> Endpoint | None:
    """Where the packets of published ports enter a container: not by an internal network."""
    return next((endpoint for endpoint in sandbox.endpoints if endpoint.gateway), None)


def forwards_to(sandboxes: Iterable[Sandbox]) -> Iterator[Forward]:
    """The published ports of containers that run."""
    for sandbox in sandboxes:
        endpoint = way_in(sandbox)
        if endpoint is None:
            continue
        for port in sandbox.ports:
            is_6 = ":" in port.host_ip
            address = endpoint.ipv6_address if is_6 else endpoint.ipv4_address
            if address:
                yield Forward(
                    port.protocol, port.host_ip, port.host_port, address, port.container_port
                )
