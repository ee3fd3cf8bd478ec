"""Choosing a subnet that nobody on this machine uses.

What is in use is asked of the kernel: the routes.  Two daemons that choose at the same moment are
kept apart by a *claim*: a Unix socket in the abstract namespace, named after the subnet.  It
belongs to the network namespace, as routes do, and is gone when its daemon is.
"""

import contextlib
import hashlib
import ipaddress
import socket
from collections.abc import Iterable

from labkit.errors import ConflictError
from labkit.kernel import links
from labkit.kernel.netlink import RouteSocket
from labkit.networks.addresses import Subnet

POOL = ipaddress.ip_network("10.208.0.0/12")
"""Where labkit's subnets come from.  Docker's come from 172.16.0.0/12 and 192.168.0.0/16."""
POOL_PREFIX = 20
"""4093 containers on a network, and 256 networks."""


def in_use(except_links: Iterable[str] = ()) -> list[Subnet]:
    """The subnets that this machine has routes to, but by `except_links`."""
    with RouteSocket() as route:
        ours = {link.number for link in links.every_link(route) if link.name in set(except_links)}
        return [
            ipaddress.ip_network(f"{found.destination}/{found.prefix}")
            for found in links.every_route(route)
            if found.prefix and found.link not in ours
        ]


def overlaps(subnet: Subnet, others: Iterable[Subnet]) -> Subnet | None:
    """One of the others that has addresses in common with `subnet`."""
    for other in others:
        if subnet.version == other.version and subnet.overlaps(other):
            return other
    return None


def unique_local(network_id: str) -> str:
    """An IPv6 subnet of one's own: fd and 40 bits that no one else has (RFC 4193)."""
    digits = hashlib.sha256(network_id.encode()).hexdigest()[:10]
    number = int(f"fd{digits}", 16) << 80
    return f"{ipaddress.IPv6Address(number)}/64"


class Claims:
    """The subnets that this daemon has claimed.  Not thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def claim(self, subnet: str) -> bool:
        """Take a subnet; False if another daemon has it."""
        if subnet in self._held:
            return True
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(f"\0labkit subnet {subnet}")
        except OSError:
            held.close()
            return False
        self._held[subnet] = held
        return True

    def release(self, subnet: str) -> None:
        """Let others have it."""
        with contextlib.suppress(KeyError):
            self._held.pop(subnet).close()

    def choose(self, taken: Iterable[Subnet]) -> str:
        """Claim a subnet of the pool that overlaps none of `taken`; ConflictError if none is."""
        taken = [*taken]
        for subnet in POOL.subnets(new_prefix=POOL_PREFIX):
            if overlaps(subnet, taken) is None and self.claim(str(subnet)):
                return str(subnet)
        raise ConflictError(
            f"every subnet of {POOL} is in use: remove networks, or name one with --subnet"
        )
