"""Networks that share a link of this machine: macvlan and ipvlan.

Containers on a bridge are behind the host.  On these networks each container has an interface that
sends and receives by the parent link itself, beside the host: it is a neighbour on the same LAN,
with an address of that LAN.  The host and its containers do not reach each other by it.
Source: https://docs.kernel.org/networking/ipvlan.html, ip-link(8).
"""

import errno
import os
from collections.abc import Iterable

from labkit.errors import ForbiddenError, InvalidParameterError
from labkit.kernel.network import links
from labkit.kernel.network.netlink import RouteSocket
from labkit.networks import options
from labkit.networks.model import IPVLAN, MACVLAN, Network

USUAL_MODE = {MACVLAN: "bridge", IPVLAN: "l2"}
_LOOPBACK = "lo"
_LONGEST = links.LONGEST_NAME


def mode_of(network: Network) -> str:
    """Return the mode of a network's links, with ipvlan's flag after it; empty for a bridge."""
    if not network.parent:
        return ""
    wanted = network.options.get(options.LINK_MODE[network.driver])
    flag = network.options.get(options.LINK_FLAG, "")
    return f"{wanted or USUAL_MODE[network.driver]} {flag}".rstrip()


def mac_of(network: Network, chosen: str) -> str:
    """Return the hardware address of a new interface; empty for ipvlan, which has its parent's."""
    return "" if network.parent and network.driver == IPVLAN else chosen


def check(network: Network, others: Iterable[Network]) -> None:
    """Refuse a parent that is not there, belongs to another network, or cannot be shared.

    InvalidParameterError, ForbiddenError.  Whether the kernel has the driver is found by trying.
    """
    if not network.parent:
        return
    for other in others:
        if other.parent == network.parent:
            raise ForbiddenError(
                f"network {other.name} is already using parent interface {network.parent}"
            )
    if network.parent == _LOOPBACK:
        raise InvalidParameterError(
            f"loopback interface is not a valid {network.driver} parent link"
        )
    try:
        _try(network)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise InvalidParameterError(
                f"invalid parent {network.parent}: this machine has no such link; `ip link` shows "
                "those it has"
            ) from None
        raise InvalidParameterError(
            f"failed to create the {network.driver} port: {os.strerror(error.errno or 0).lower()}"
        ) from error


def _try(network: Network) -> None:
    """Make a link as a container's would be, and remove it; OSError."""
    name = f"lk{network.id}"[:_LONGEST]
    share = links.Share(network.driver, mode_of(network), network.parent, name, "", 1280)
    with RouteSocket() as route:
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            links.make_share(route, share, own)
            links.delete(route, name)
        finally:
            os.close(own)
