"""Which flows a changed port makes stale; the kernel is not asked."""

import socket

import pytest

from labkit.kernel.network.conntrack import Direction, Flow
from labkit.networks.firewall import Forward
from labkit.networks.flows import is_stale

OLD = Forward("udp", "0.0.0.0", 53, "10.208.0.2", 1053)
NEW = Forward("udp", "0.0.0.0", 53, "10.208.0.9", 1053)
ELSEWHERE = Forward("udp", "192.0.2.7", 53, "10.208.0.3", 1053)


def flow(
    reaches: tuple[str, int], *, to: str = "192.0.2.2", comes_from: str = "198.18.0.2"
) -> Flow:
    """A flow from a client to a port 53."""
    sent = Direction("198.18.0.2", 4000, to, 53)
    return Flow(sent, Direction(*reaches, comes_from, 4000), socket.AF_INET, b"")


@pytest.mark.parametrize(
    ("found", "changed", "now", "stale"),
    [
        # The port has moved on.
        (flow(("10.208.0.2", 1053)), [OLD, NEW], [NEW], True),
        (flow(("10.208.0.9", 1053)), [OLD, NEW], [NEW], False),
        # Nobody had it, and the packets went to the host.
        (flow(("192.0.2.2", 53)), [NEW], [NEW], True),
        # Nobody has it any more.
        (flow(("10.208.0.2", 1053)), [OLD], [], True),
        (flow(("192.0.2.2", 53)), [OLD], [], False),
        # A container asks a server of names somewhere, by way of the host.
        (flow(("8.8.8.8", 53), to="8.8.8.8", comes_from="192.0.2.2"), [NEW], [NEW], False),
        # Another address of the host has another container behind its port.
        (flow(("10.208.0.3", 1053), to="192.0.2.7"), [ELSEWHERE], [ELSEWHERE], False),
        (flow(("10.208.0.9", 1053)), [ELSEWHERE], [ELSEWHERE], False),
    ],
)
def test_stale_are_the_flows_to_who_had_the_port(found, changed, now, stale):
    assert is_stale(found, changed, now) == stale
