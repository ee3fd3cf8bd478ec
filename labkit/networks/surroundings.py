"""The other links of the host: by which containers reach the outside, and the outside them."""

from collections.abc import Iterable
from typing import NamedTuple

from labkit.kernel.network import links
from labkit.kernel.network.links import Link
from labkit.kernel.network.netlink import RouteSocket

GROUP = 0x6C6B
"""The group of every labkit's bridges (`lk`), by which the engines of one machine know them."""
_OF_GUESTS = frozenset({"veth", "tun"})
"""Kinds of links that plug a container or a virtual machine into a bridge."""
_LOOPBACK = 1
"""The number of the loopback, in every network namespace."""


class Surroundings(NamedTuple):
    """Names of links that are not labkit's."""

    outward: tuple[str, ...] = ()
    """Those that lead off this machine, as far as can be told."""
    bridges: tuple[str, ...] = ()
    """Every bridge."""


def look() -> Surroundings:
    """The links of the host at this moment; OSError."""
    with RouteSocket() as route:
        return sort(links.every_link(route))


def sort(every: Iterable[Link]) -> Surroundings:
    """Tell the links apart.  Pure.

    A link that is plugged into another sends and receives by that one.  A bridge that only guests
    are plugged into belongs to another engine, which alone decides who may reach its guests.
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
