"""netlink(7): the kernel's own messages about links, addresses and routes, and about flows.

A message is a header, a fixed part, and attributes (netlink(7)).  A `RouteSocket` acts on the
network namespace it was opened in, even after its process has entered another one.  So a process
that is about to leave the host's namespace keeps a way to reach into it.
"""

import os
import socket
from collections.abc import Iterator
from struct import calcsize, pack, pack_into, unpack_from
from typing import Self

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_SETLINK = 19
RTM_NEWADDR = 20
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_GETROUTE = 26

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_REPLACE = 0x100
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1
_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_HEADER = "=IHHII"
_HEADER_SIZE = calcsize(_HEADER)
_BUFFER_BYTES = 65536


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute: its length, its kind, its content, and padding to four bytes."""
    return pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def text(kind: int, value: str) -> bytes:
    """Return an attribute that holds a text."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Return an attribute that holds a number of 32 bits."""
    return attribute(kind, pack("=I", value))


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the attributes in a part of a message, by kind."""
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


class _NetlinkSocket:
    """A connection to the kernel for the network namespace it was opened in."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def ask(self, kind: int, body: bytes, flags: int = 0, what: str | None = None) -> None:
        """Send a request to change something; OSError with the kernel's reason and `what`."""
        self._send(kind, body, flags | NLM_F_ACK)
        for answer, data in self._answers():
            if answer == _NLMSG_ERROR:
                raise_error(data, what)
                return

    def get(self, kind: int, body: bytes, what: str | None = None) -> bytes:
        """Return the one object that is requested: the body of the kernel's message; OSError."""
        self._send(kind, body, 0)
        answer, data = next(self._answers())
        if answer == _NLMSG_ERROR:
            raise_error(data, what)
        return data

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Yield every object of a kind: the bodies of the kernel's messages; OSError."""
        self._send(kind, body, NLM_F_DUMP)
        for answer, data in self._answers():
            if answer == _NLMSG_DONE:
                return
            if answer == _NLMSG_ERROR:
                raise_error(data, None)
                return
            yield data

    def _send(self, kind: int, body: bytes, flags: int) -> None:
        self._sequence += 1
        message = bytearray(_HEADER_SIZE + len(body))
        fields = (len(message), kind, NLM_F_REQUEST | flags, self._sequence, 0)
        pack_into(_HEADER, message, 0, *fields)
        message[_HEADER_SIZE:] = body
        self._socket.send(message)

    def _answers(self) -> Iterator[tuple[int, bytes]]:
        while True:
            data = self._socket.recv(_BUFFER_BYTES)
            offset = 0
            while offset + _HEADER_SIZE <= len(data):
                length, kind, _, sequence, _ = unpack_from(_HEADER, data, offset)
                body = data[offset + _HEADER_SIZE : offset + length]
                offset += length + 3 & ~3
                if sequence == self._sequence:
                    yield kind, body


def raise_error(data: bytes, what: str | None) -> None:
    """Raise OSError unless the answer reports success."""
    (negative,) = unpack_from("=i", data)
    if negative == 0:
        return
    # The errno is followed by the whole request, and that by the kernel's message, if any.
    (request_length,) = unpack_from("=I", data, 4)
    words = attributes(data[4 + (request_length + 3 & ~3) :]).get(_NLMSGERR_ATTR_MSG, b"")
    said = words.rstrip(b"\0").decode(errors="replace")
    reason = os.strerror(-negative)
    raise OSError(-negative, f"{reason}: {said}" if said else reason, what)


class RouteSocket(_NetlinkSocket):
    """A socket for links, addresses and routes: rtnetlink(7)."""

    def __init__(self) -> None:
        super().__init__(socket.NETLINK_ROUTE)


class NetfilterSocket(_NetlinkSocket):
    """A socket for the firewall's table of flows: linux/netfilter/nfnetlink.h."""

    def __init__(self) -> None:
        super().__init__(_NETLINK_NETFILTER)
