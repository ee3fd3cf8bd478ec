"""Notices that the kernel sends unasked: changes of addresses, of forwarding, or of rules.

The messages are those of netlink(7), sent to every socket that has joined their group.
"""

import socket
from collections.abc import Iterable, Iterator
from struct import calcsize, unpack_from
from typing import NamedTuple

from labkit.kernel.network.netlink import attributes
from labkit.kernel.network.nft_chains import SUBSYSTEM

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_ROUTE_GROUPS = {"IPV4_IFADDR": 5, "IPV6_IFADDR": 9, "IPV4_NETCONF": 24, "IPV6_NETCONF": 25}
_NFTABLES_GROUP = 7
_NEW_ADDRESS, _DELETE_ADDRESS, _NEW_CONFIGURATION = 20, 21, 80
_DELETE_TABLE, _NEW_GENERATION = (SUBSYSTEM << 8 | n for n in (2, 15))
_NETCONF_LINK = 1
_TABLE = 1
_LINK_SCOPE = 253
_HEADER = "=IHHII"
_BYTES = 1 << 16


class Notice(NamedTuple):
    """One message: what changed, and of which link or table."""

    what: str
    """`address`, `forwarding` or `rules`."""
    link: int = 0
    """Negative for the parameters of all links, or of new ones."""
    table: str = ""
    is_gone: bool = False
    """Whether the table was removed."""


def of_links() -> socket.socket:
    """A socket that receives notices of addresses and of forwarding; OSError."""
    return _joined(socket.NETLINK_ROUTE, _ROUTE_GROUPS.values())


def of_rules() -> socket.socket:
    """A socket that receives notices of nf_tables; OSError."""
    return _joined(_NETLINK_NETFILTER, [_NFTABLES_GROUP])


def _joined(protocol: int, groups: Iterable[int]) -> socket.socket:
    listening = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    listening.bind((0, 0))
    for group in groups:
        listening.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    listening.setblocking(False)
    return listening


def receive(listening: socket.socket) -> Iterator[Notice]:
    """Yield the notices that have arrived; OSError ENOBUFS if some were lost."""
    while True:
        try:
            data = listening.recv(_BYTES)
        except BlockingIOError:
            return
        offset = 0
        while offset + calcsize(_HEADER) <= len(data):
            length, kind = unpack_from("=IH", data, offset)
            body = data[offset + calcsize(_HEADER) : offset + length]
            offset += length + 3 & ~3
            if (notice := _read(kind, body)) is not None:
                yield notice


def _read(kind: int, body: bytes) -> Notice | None:
    if kind in (_NEW_ADDRESS, _DELETE_ADDRESS):
        _, _, _, scope, link = unpack_from("=BBBBI", body)
        return None if scope == _LINK_SCOPE else Notice("address", link)
    if kind == _NEW_CONFIGURATION:
        link_of = attributes(body[4:]).get(_NETCONF_LINK)
        return Notice("forwarding", unpack_from("=i", link_of)[0]) if link_of else None
    if kind >> 8 == SUBSYSTEM and kind != _NEW_GENERATION:
        table = attributes(body[4:]).get(_TABLE, b"")
        name = table.rstrip(b"\0").decode(errors="replace")
        return Notice("rules", table=name, is_gone=kind == _DELETE_TABLE)
    return None
