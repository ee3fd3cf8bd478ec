"""What the kernel remembers of packets that went by: the flows of its connection tracking.

The first packet of a flow goes through the rules that give it another address; its followers get
the same without them, for as long as the flow is remembered.  The messages are those of
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
    """The addresses in the packets that go one way."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class Flow(NamedTuple):
    """Packets that belong together: as they are sent, and as the answers are."""

    sent: Direction
    answered: Direction
    family: socket.AddressFamily
    key: bytes
    """What the kernel knows it by."""

    @property
    def reaches(self) -> tuple[str, int]:
        """Who gets the packets, after all translation."""
        return self.answered.source, self.answered.source_port

    @property
    def has_other_destination(self) -> bool:
        """Whether they reach somebody other than they were sent to (DNAT)."""
        return self.reaches != (self.sent.destination, self.sent.destination_port)

    @property
    def has_other_source(self) -> bool:
        """Whether they seem to come from somebody else (SNAT)."""
        back = (self.answered.destination, self.answered.destination_port)
        return back != (self.sent.source, self.sent.source_port)


def flows(netfilter: NetfilterSocket, protocol: int) -> Iterator[Flow]:
    """The flows of a protocol (IPPROTO_UDP…) in the socket's network namespace; OSError."""
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
    """Have its next packet go through the rules like a first one; OSError."""
    with contextlib.suppress(FileNotFoundError):  # it has been forgotten meanwhile
        netfilter.ask(_CT_DELETE, pack("=BBH", flow.family, 0, 0) + flow.key)


def is_unknown(error: OSError) -> bool:
    """Whether a failure says that this kernel does not tell about its flows."""
    return error.errno in (errno.EINVAL, errno.EPROTONOSUPPORT)
