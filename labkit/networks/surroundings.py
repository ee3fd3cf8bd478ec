"""The other links of the host, which connect containers with the outside."""

from collections.abc import Iterable
from typing import NamedTuple

from labkit.kernel.network import links
from labkit.kernel.network.links import Link
from labkit.kernel.network.netlink import RouteSocket

GROUP = 0x6C6B
"""The group of every labkit's bridges (`lk`); the engines of one machine recognise them by it."""
_OF_GUESTS = frozenset({"veth", "tun"})
"""Kinds of links that plug a container or a virtual machine into a bridge."""
_LOOPBACK = 1
"""The number of the loopback, in every network namespace."""


class Surroundings(NamedTuple):
    """Names of links that do not belong to labkit."""

    outward: tuple[str, ...] = ()
    """The links that probably lead out of this machine."""
    bridges: tuple[str, ...] = ()
    """Every bridge."""


def look() -> Surroundings:
    """The links of the host at this moment; OSError."""
    with RouteSocket() as route:
        return sort(links.every_link(route))


def sort(every: Iterable[Link]) -> Surroundings:
    """Sort the links by their purpose.  Pure.

    A link that is attached to another sends and receives through that one.  A bridge with only
    guests attached belongs to another engine, and only that decides who may reach its guests.
    """
    every = list(every)
    ports: dict[int, set[str]] = {}
    for link in every:
        if link.master:
            ports.setdefault(link.master, set()).add(link.kind)
    others = [link for link in every if link.group != GROUP and link.number != _LOOPBACK]
    return Surroundings(
        outward=tuple(
            link.name
            for link in others
            if not link.master
            and not (link.kind == "bridge" and ports.get(link.number, set()) <= _OF_GUESTS)
        ),
        bridges=tuple(link.name for link in others if link.kind == "bridge"),
    )
