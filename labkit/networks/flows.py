"""UDP flows that must end because their published port now leads to another container.

UDP has no connections.  The kernel treats all packets with the same addresses and ports as one
flow, as long as packets arrive.  A client that keeps sending would still reach the container that
had the port first, or none at all, although another container has the port now.
"""

import socket
from collections.abc import Collection, Iterable

from labkit.kernel.network import conntrack
from labkit.kernel.network.conntrack import Flow
from labkit.kernel.network.netlink import NetfilterSocket
from labkit.networks.firewall import ANYWHERE, Forward


def forget_stale(before: Iterable[Forward], now: Iterable[Forward]) -> None:
    """Let the kernel forget the flows of published ports that have changed from `before` to `now`.

    The rules are already in place.  A kernel that cannot list its flows keeps them.  OSError.
    """
    old, new = (
        {forward for forward in each if forward.protocol == "udp"} for each in (before, now)
    )
    changed = old ^ new
    if not changed:
        return
    try:
        with NetfilterSocket() as netfilter:
            for flow in conntrack.flows(netfilter, socket.IPPROTO_UDP):
                if is_stale(flow, changed, new):
                    conntrack.forget(netfilter, flow)
    except OSError as error:
        if not conntrack.is_unknown(error):
            raise


def is_stale(flow: Flow, changed: Collection[Forward], now: Iterable[Forward]) -> bool:
    """Whether a flow goes to a port among the `changed`, but not where that leads now.  Pure."""
    if not any(_is_to(flow, forward) for forward in changed):
        return False
    if flow.has_other_source and not flow.has_other_destination:
        return False  # it goes to the same port of another machine
    for forward in now:
        if _is_to(flow, forward):
            return flow.reaches != (forward.address, forward.port)
    return flow.reaches in {(forward.address, forward.port) for forward in changed}


def _is_to(flow: Flow, forward: Forward) -> bool:
    """Whether the packets of a flow are sent to a published port."""
    is_same_family = (":" in forward.address) == (flow.family == socket.AF_INET6)
    is_there = forward.host_ip in ANYWHERE or forward.host_ip == flow.sent.destination
    return is_same_family and is_there and flow.sent.destination_port == forward.host_port
