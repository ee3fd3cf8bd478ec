"""One rule of nf_tables for the caller's network namespace: redirect a port to another one.

Packets that a process sends to one of the namespace's own addresses and ports arrive at another
port; the answers appear to come from the first.  In the language of `nft`:

    table ip NAME { chain output { type nat hook output priority -100;
        ip daddr ADDRESS tcp dport PORT dnat to ADDRESS:OTHER } }

The messages are written here, for a container's start cannot wait for a program.  They form one
batch, which the kernel executes whole or not at all (linux/netfilter/nf_tables.h).
"""

import socket
from collections.abc import Mapping
from struct import calcsize, pack, unpack_from

from labkit.kernel.network.netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    attribute,
    raise_error,
    text,
)

_NETLINK_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM = 10
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | n for n in (0, 2, 3, 6))
_NESTED = 0x8000
_HEADER = "=IHHII"
_ERROR = 2
_LOCAL_OUT, _NAT_PRIORITY = 3, -100
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_DESTINATION_ADDRESS = (_NETWORK_HEADER, 16, 4)
_DESTINATION_PORT = (_TRANSPORT_HEADER, 2, 2)
_LAYER_4_PROTOCOL = 16
_FIRST, _SECOND = 1, 2
"""Registers of nf_tables."""
_CHAIN = "output"


def redirect(name: str, address: str, port: int, ports: Mapping[int, int]) -> None:
    """Redirect packets for an IPv4 address and port to other ports, by protocol; OSError."""
    table = text(1, name)
    hook = _nested(4, _number(1, _LOCAL_OUT), _number(2, _NAT_PRIORITY))
    messages = [
        # Remove the table of a killed daemon; the first message makes the deletion never fail.
        *((_NEW_TABLE, table), (_DELETE_TABLE, table), (_NEW_TABLE, table)),
        (_NEW_CHAIN, table + text(3, _CHAIN) + hook + text(7, "nat")),
    ]
    for protocol, other in ports.items():
        rule = _rule(socket.inet_aton(address), protocol, port, other)
        messages.append((_NEW_RULE, table + text(2, _CHAIN) + rule))
    _send(messages, f"nat {address}:{port}")


def _rule(address: bytes, protocol: int, port: int, other: int) -> bytes:
    return _nested(
        4,
        _expression("payload", *_load(*_DESTINATION_ADDRESS)),
        _expression("cmp", *_equals(address)),
        _expression("meta", _number(1, _FIRST), _number(2, _LAYER_4_PROTOCOL)),
        _expression("cmp", *_equals(bytes([protocol]))),
        _expression("payload", *_load(*_DESTINATION_PORT)),
        _expression("cmp", *_equals(pack(">H", port))),
        _expression("immediate", _number(1, _FIRST), _nested(2, attribute(1, address))),
        _expression("immediate", _number(1, _SECOND), _nested(2, attribute(1, pack(">H", other)))),
        _expression(
            "nat",
            *(_number(1, 1), _number(2, socket.AF_INET)),
            *(_number(kind, _FIRST) for kind in (3, 4)),
            *(_number(kind, _SECOND) for kind in (5, 6)),
        ),
    )


def _load(header: int, offset: int, length: int) -> list[bytes]:
    fields = (_FIRST, header, offset, length)
    return [_number(kind, value) for kind, value in enumerate(fields, 1)]


def _equals(value: bytes) -> list[bytes]:
    return [_number(1, _FIRST), _number(2, 0), _nested(3, attribute(1, value))]


def _expression(name: str, *data: bytes) -> bytes:
    return _nested(1, text(1, name), _nested(2, *data))


def _nested(kind: int, *inner: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(inner))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, pack(">i", value))


def _send(messages: list[tuple[int, bytes]], what: str) -> None:
    last = len(messages)
    batch = [_message(_BATCH_BEGIN, 0, 0, b"", family=0, resource=_SUBSYSTEM)]
    for number, (kind, body) in enumerate(messages, 1):
        flags = NLM_F_CREATE | (NLM_F_ACK if number == last else 0)
        batch.append(_message(kind, flags, number, body))
    batch.append(_message(_BATCH_END, 0, last + 1, b"", family=0, resource=_SUBSYSTEM))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as way:
        way.bind((0, 0))
        way.send(b"".join(batch))
        # The first answer is the first failure, or the acknowledgement of the last message.
        answer = way.recv(65536)
    _, kind, _, _, _ = unpack_from(_HEADER, answer)
    if kind == _ERROR:
        raise_error(answer[calcsize(_HEADER) :], what)


def _message(
    kind: int,
    flags: int,
    number: int,
    body: bytes,
    *,
    family: int = socket.AF_INET,
    resource: int = 0,
) -> bytes:
    content = pack(">BBH", family, 0, resource) + body
    length = calcsize(_HEADER) + len(content)
    return pack(_HEADER, length, kind, NLM_F_REQUEST | flags, number, 0) + content
