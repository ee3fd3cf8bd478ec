"""Choosing a subnet that nothing on this machine uses.

The kernel shows what is in use: the routes, and the addresses of links.  A VPN may have routes to
whole private ranges, or to everything in two halves (OpenVPN).  Then every subnet hides a part of
what the VPN reaches: labkit takes the subnet that hides the least, and warns the user.
"""

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from labkit.errors import ConflictError
from labkit.kernel.network import links
from labkit.kernel.network.netlink import RouteSocket
from labkit.networks.addresses import Subnet


class Pool(NamedTuple):
    """A source of subnets: a range, and the length of a subnet's prefix."""

    base: Subnet
    size: int


POOLS = (
    Pool(ipaddress.ip_network("10.208.0.0/12"), 20),
    Pool(ipaddress.ip_network("172.24.0.0/13"), 20),
    Pool(ipaddress.ip_network("192.168.128.0/17"), 24),
)
"""Parts of the three private ranges (RFC 1918) that most routers and Docker do not use first.

The first has room for 256 networks of 4,093 containers.
"""


class Choice(NamedTuple):
    """A subnet, and the narrowest route that it hides a part of; None if it hides none."""

    subnet: str
    hidden: Subnet | None = None


def in_use(except_links: Iterable[str] = ()) -> list[Subnet]:
    """The subnets of this machine's routes and addresses, without those of `except_links`."""
    with RouteSocket() as route:
        ours = {link.number for link in links.every_link(route) if link.name in set(except_links)}
        known = [*links.every_route(route), *links.every_address(route)]
    return [
        ipaddress.ip_network(f"{found.destination}/{found.prefix}")
        for found in known
        if found.prefix and found.link not in ours
    ]


def overlaps(subnet: Subnet, others: Iterable[Subnet]) -> Subnet | None:
    """The first of the others that has addresses in common with `subnet`; None if none has."""
    for other in others:
        if subnet.version == other.version and subnet.overlaps(other):
            return other
    return None


def unique_local(network_id: str) -> str:
    """A private IPv6 subnet: fd and 40 random bits that no other network has (RFC 4193)."""
    digits = hashlib.sha256(network_id.encode()).hexdigest()[:10]
    number = int(f"fd{digits}", 16) << 80
    return f"{ipaddress.IPv6Address(number)}/64"


def choose(
    taken: Iterable[Subnet], claim: Callable[[str], bool], pools: Sequence[Pool] = POOLS
) -> Choice:
    """Claim a subnet that overlaps none of `taken`, or one that hides as little as possible.

    A route whose prefix is as long as the subnet's, or longer, is never hidden.  Of the others, the
    widest loses the smallest part: so the choice is the subnet whose narrowest route is the widest.
    Raises `ConflictError` if there is none.
    """
    taken = [*taken]
    hiding: list[tuple[int, Subnet, Subnet]] = []
    for pool in pools:
        near = [other for other in taken if overlaps(other, [pool.base])]
        for subnet in pool.base.subnets(new_prefix=pool.size):
            others = [other for other in near if overlaps(subnet, [other])]
            if not others and claim(str(subnet)):
                return Choice(str(subnet))
            if others and all(other.prefixlen < subnet.prefixlen for other in others):
                narrowest = max(others, key=lambda other: other.prefixlen)
                hiding.append((narrowest.prefixlen, subnet, narrowest))
    for _, subnet, narrowest in sorted(hiding, key=lambda found: found[0]):
        if claim(str(subnet)):
            return Choice(str(subnet), narrowest)
    ranges = ", ".join(str(pool.base) for pool in pools)
    raise ConflictError(
        f"every subnet of {ranges} is in use: remove networks, name one with --subnet, or give "
        "others as default-address-pools in daemon.json"
    )
