"""UDP flows that go where they should not any more, because a published port goes elsewhere.

UDP has no connections, so the kernel takes for one flow whatever has the same addresses and ports,
as long as packets keep coming.  A client that goes on sending would reach the container that had
the port when it began, or nobody, though another has it by now.
"""

import socket
from collections.abc import Collection, Iterable

from labkit.kernel.network import conntrack
from labkit.kernel.network.conntrack import Flow
from labkit.kernel.network.netlink import NetfilterSocket
from labkit.networks.firewall import ANYWHERE, Forward


def forget_stale(before: Iterable[Forward], now: Iterable[Forward]) -> None:
    """Have the kernel forget the flows that published ports had `before`, and have not `now`.

    The rules are in place already.  A kernel that does not tell its flows keeps them.  OSError.
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
    """Whether a flow is one to a port among the `changed`, and not where that leads now.  Pure."""
    if not any(_is_to(flow, forward) for forward in changed):
        return False
    if flow.has_other_source and not flow.has_other_destination:
        return False  # to the same port of somebody else
    for forward in now:
        if _is_to(flow, forward):
            return flow.reaches != (forward.address, forward.port)
    return flow.reaches in {(forward.address, forward.port) for forward in changed}


def _is_to(flow: Flow, forward: Forward) -> bool:
    """Whether its packets are sent to a published port."""
    is_same_family = (":" in forward.address) == (flow.family == socket.AF_INET6)
    is_there = forward.host_ip in ANYWHERE or forward.host_ip == flow.sent.destination
    return is_same_family and is_there and flow.sent.destination_port == forward.host_port
