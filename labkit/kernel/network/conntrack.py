"""The kernel's table of the flows that passed: its connection tracking.

The first packet of a flow passes the rules that change its address; later packets get the same
change without the rules, while the kernel keeps the flow.  The messages are those of
libnetfilter_conntrack and `conntrack -L` (linux/netfilter/nfnetlink_conntrack.h).
"""

import contextlib
import errno
import socket
from collections.abc import Iterator
from struct import pack, unpack
from typing import NamedTuple

from labkit.kernel.network.netlink import NetfilterSocket, attribute, attributes

_CT_GET, _CT_DELETE = 0x101, 0x102
_CTA_TUPLE_ORIG, _CTA_TUPLE_REPLY, _CTA_ID = 1, 2, 12
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_CTA_PROTO_NUM, _CTA_PROTO_SRC_PORT, _CTA_PROTO_DST_PORT = 1, 2, 3
_CTA_IP_SRC = {socket.AF_INET: 1, socket.AF_INET6: 3}
_NLA_F_NESTED = 0x8000
FAMILIES = (socket.AF_INET, socket.AF_INET6)


class Direction(NamedTuple):
    """The addresses in the packets of one direction."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class Flow(NamedTuple):
    """Packets that belong together: the addresses of requests, and of answers."""

    sent: Direction
    answered: Direction
    family: socket.AddressFamily
    key: bytes
    """The kernel's own identification of the flow."""

    @property
    def reaches(self) -> tuple[str, int]:
        """The receiver of the packets, after all translation."""
        return self.answered.source, self.answered.source_port

    @property
    def has_other_destination(self) -> bool:
        """Whether the receiver differs from the address they were sent to (DNAT)."""
        return self.reaches != (self.sent.destination, self.sent.destination_port)

    @property
    def has_other_source(self) -> bool:
        """Whether the receiver sees another sender than the real one (SNAT)."""
        back = (self.answered.destination, self.answered.destination_port)
        return back != (self.sent.source, self.sent.source_port)


def flows(netfilter: NetfilterSocket, protocol: int) -> Iterator[Flow]:
    """Yield the flows of a protocol (IPPROTO_UDP…) in the socket's network namespace; OSError."""
    for family in FAMILIES:
        for body in list(netfilter.dump(_CT_GET, pack("=BBH", family, 0, 0))):
            found = attributes(body[4:])
            if _CTA_TUPLE_REPLY in found and _protocol(found[_CTA_TUPLE_ORIG]) == protocol:
                key = attribute(_CTA_TUPLE_ORIG | _NLA_F_NESTED, found[_CTA_TUPLE_ORIG])
                key += attribute(_CTA_ID, found[_CTA_ID])
                sent = _direction(family, found[_CTA_TUPLE_ORIG])
                yield Flow(sent, _direction(family, found[_CTA_TUPLE_REPLY]), family, key)


def _protocol(data: bytes) -> int:
    return attributes(attributes(data)[_CTA_TUPLE_PROTO])[_CTA_PROTO_NUM][0]


def _direction(family: socket.AddressFamily, data: bytes) -> Direction:
    inside = attributes(data)
    addresses, ports = attributes(inside[_CTA_TUPLE_IP]), attributes(inside[_CTA_TUPLE_PROTO])
    source = _CTA_IP_SRC[family]
    return Direction(
        socket.inet_ntop(family, addresses[source]),
        _port(ports[_CTA_PROTO_SRC_PORT]),
        socket.inet_ntop(family, addresses[source + 1]),
        _port(ports[_CTA_PROTO_DST_PORT]),
    )


def _port(data: bytes) -> int:
    (number,) = unpack("!H", data)
    return int(number)


def forget(netfilter: NetfilterSocket, flow: Flow) -> None:
    """Delete a flow, so that its next packet passes the rules like a first one; OSError."""
    with contextlib.suppress(FileNotFoundError):  # the kernel has deleted it by now
        netfilter.ask(_CT_DELETE, pack("=BBH", flow.family, 0, 0) + flow.key)


def is_unknown(error: OSError) -> bool:
    """Whether this error means that the kernel has no table of flows."""
    return error.errno in (errno.EINVAL, errno.EPROTONOSUPPORT)
