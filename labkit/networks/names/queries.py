"""Reading queries and writing answers: DNS messages (RFC 1035, EDNS: RFC 6891).  Pure.

A container can send anything.  A message that is no query is dropped (None), a wrong query gets an
answer with the reason, and nothing larger than a query needs to be is read.
"""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple, cast

from dnslib import (
    AAAA,
    CLASS,
    EDNS0,
    PTR,
    QTYPE,
    RCODE,
    RR,
    A,
    DNSBuffer,
    DNSError,
    DNSHeader,
    DNSRecord,
)

TTL_S = 600
LEAST_SIZE = 512
"""Every client accepts this size over UDP."""
MOST_SIZE = 4096
"""The largest answer over UDP, even if the client accepts more."""
LARGEST_QUERY = 4096
HEADER_SIZE = 12
_IS_ANSWER = 0x80
_IPV4_LABELS, _IPV6_LABELS = 4, 32


class BadQueryError(Exception):
    """A query that cannot be answered; `reply` has the reason for the client, None for no reply."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__(reply)
        self.reply = reply


class Query(NamedTuple):
    """One question."""

    wire: bytes
    record: DNSRecord
    name: str
    """In lower case, without the last dot."""
    kind: str
    """`A`, `AAAA`, `PTR`…"""
    is_internet: bool
    """Whether it is of the class IN; others (`CH`) ask about servers, not for names."""
    limit: int
    """The largest answer in bytes; 0 for any size (TCP)."""

    @property
    def address(self) -> str:
        """The address of a reverse lookup; otherwise empty."""
        return _reversed(self.name) if self.kind == "PTR" else ""


def read(wire: bytes, *, is_tcp: bool) -> Query:
    """Read the query in a message; BadQueryError."""
    if len(wire) < HEADER_SIZE or wire[2] & _IS_ANSWER:
        raise BadQueryError(None)
    header = DNSHeader.parse(DNSBuffer(wire))
    if header.opcode:
        raise BadQueryError(_refusal(header, RCODE.NOTIMP))
    if len(wire) > LARGEST_QUERY or (header.q, header.a, header.auth) != (1, 0, 0):
        raise BadQueryError(_refusal(header, RCODE.FORMERR))
    try:
        record = DNSRecord.parse(wire)
        name = b".".join(record.q.qname.label).decode("ascii").lower()
    except (DNSError, ValueError, RecursionError, IndexError, KeyError, TypeError):
        raise BadQueryError(_refusal(header, RCODE.FORMERR)) from None
    sizes = [extra.edns_len for extra in record.ar if extra.rtype == QTYPE.OPT]
    limit = 0 if is_tcp else min(max([LEAST_SIZE, *sizes]), MOST_SIZE)
    kind, is_internet = str(QTYPE.get(record.q.qtype)), record.q.qclass == CLASS.IN
    return Query(wire, record, name, kind, is_internet, limit)


def addresses(query: Query, ipv4: Sequence[str], ipv6: Sequence[str]) -> bytes:
    """The answer for a known name, even if it has no record of the kind asked for.

    An empty answer differs from NXDOMAIN (no such name), after which a client would not ask for
    the name's other addresses.
    """
    records = []
    if query.kind in ("A", "ANY"):
        records += [RR(query.record.q.qname, QTYPE.A, ttl=TTL_S, rdata=A(a)) for a in ipv4]
    if query.kind in ("AAAA", "ANY"):
        records += [RR(query.record.q.qname, QTYPE.AAAA, ttl=TTL_S, rdata=AAAA(a)) for a in ipv6]
    return _answer(query, records)


def pointer(query: Query, name: str) -> bytes:
    """The answer to a reverse lookup."""
    return _answer(query, [RR(query.record.q.qname, QTYPE.PTR, ttl=TTL_S, rdata=PTR(name))])


def failure(query: Query) -> bytes:
    """The answer if no server could be asked, or none has answered (SERVFAIL)."""
    reply = _reply(query)
    reply.header.rcode = RCODE.SERVFAIL
    return cast(bytes, reply.pack())


def fitted(query: Query, answer: bytes) -> bytes:
    """Another server's answer, or a truncated one if it is too large for this client."""
    if not query.limit or len(answer) <= query.limit:
        return answer
    reply = _reply(query)
    reply.header.tc = 1
    return cast(bytes, reply.pack())


def _answer(query: Query, records: list[RR]) -> bytes:
    reply = _reply(query)
    bare = len(reply.pack())
    reply.rr = records
    wire = cast(bytes, reply.pack())
    if query.limit and len(wire) > query.limit:
        # Marked as truncated, so that the client asks again over TCP; some use these instead.
        reply.rr = records[: (query.limit - bare) * len(records) // (len(wire) - bare)]
        reply.header.tc = 1
        wire = cast(bytes, reply.pack())
    return wire


def _reply(query: Query) -> DNSRecord:
    header = query.record.header
    reply = DNSRecord(DNSHeader(id=header.id, qr=1, rd=header.rd, ra=1), q=query.record.q)
    if any(extra.rtype == QTYPE.OPT for extra in query.record.ar):
        reply.add_ar(EDNS0(udp_len=MOST_SIZE))
    return reply


def _refusal(header: DNSHeader, code: int) -> bytes:
    reply = DNSHeader(id=header.id, qr=1, opcode=header.opcode, rd=header.rd, ra=1, rcode=code)
    return cast(bytes, DNSRecord(reply).pack())


def _reversed(name: str) -> str:
    """Return 10.0.0.2 for `2.0.0.10.in-addr.arpa`; empty for any other name."""
    words = name.split(".")
    digits, domain = words[:-2][::-1], words[-2:]
    text = ""
    if domain == ["in-addr", "arpa"] and len(digits) == _IPV4_LABELS:
        text = ".".join(digits)
    elif domain == ["ip6", "arpa"] and len(digits) == _IPV6_LABELS:
        text = ":".join("".join(digits[i : i + 4]) for i in range(0, _IPV6_LABELS, 4))
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""
