"""DNS for tests: a small server on an address of the host, and sockets in a container's network."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from labkit.kernel import namespaces

WITHIN_S = 10.0


def ours(query: DNSRecord) -> DNSRecord:
    """Answer with 192.0.2.7 for names that end in `.test`, else with NXDOMAIN."""
    reply = query.reply()
    if query.q.qname.matchSuffix("test"):
        reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A("192.0.2.7"), ttl=5))
    else:
        reply.header.rcode = RCODE.NXDOMAIN
    return reply


class Server:
    """A name server on port 53 of one address, over UDP and TCP, in threads of the test.

    `answer` returns the answer, or None for silence.  `asked` is the list of queries and protocols.
    """

    def __init__(
        self, address: str, answer: Callable[[DNSRecord, str], DNSRecord | None] | None = None
    ) -> None:
        self.address = address
        self.asked: list[tuple[str, str]] = []
        self._answer = answer or (lambda query, protocol: ours(query))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((address, 53))
        self._tcp = socket.create_server((address, 53))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def close(self) -> None:
        """Stop serving: later queries are refused."""
        for listening in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _reply(self, wire: bytes, protocol: str) -> bytes:
        query = DNSRecord.parse(wire)
        self.asked.append((str(query.q.qname), protocol))
        reply = self._answer(query, protocol)
        return b"" if reply is None else reply.pack()

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, sender = self._udp.recvfrom(65535)
                if not wire:
                    return
                if reply := self._reply(wire, "udp"):
                    self._udp.sendto(reply, sender)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                with connection:
                    reply = self._reply(receive(connection), "tcp")
                    connection.sendall(struct.pack(">H", len(reply)) + reply)


@contextlib.contextmanager
def serving(*arguments: object) -> Iterator[Server]:
    """A server while the block runs."""
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.close()


def receive(connection: socket.socket) -> bytes:
    """Return one message from a TCP connection."""
    file = connection.makefile("rb")
    (length,) = struct.unpack(">H", file.read(2))
    return file.read(length)


def connected(pid: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket in the network of a process, connected to the containers' name server."""
    made: list[socket.socket] = []

    def make() -> None:
        with open(f"/proc/{pid}/ns/net") as namespace:
            namespaces.setns(namespace.fileno(), namespaces.CLONE_NEWNET)
        made.append(socket.socket(socket.AF_INET, kind))
        made[0].settimeout(WITHIN_S)
        made[0].connect(("127.0.0.11", 53))

    # A namespace is a thread's own: this one ends in the container's.
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def ask(pid: int, name: str, kind: str = "A", *, tcp: bool = False) -> DNSRecord:
    """Send one query from the network of a process; return the answer."""
    wire = DNSRecord.question(name, kind).pack()
    with connected(pid, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as way:
        if tcp:
            way.sendall(struct.pack(">H", len(wire)) + wire)
            return DNSRecord.parse(receive(way))
        way.send(wire)
        return DNSRecord.parse(way.recv(65535))


def data(reply: DNSRecord) -> list[str]:
    """Return the data of an answer's records."""
    return [str(record.rdata) for record in reply.rr]
