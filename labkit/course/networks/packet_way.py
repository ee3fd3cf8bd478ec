"""A packet's way, recorded: the same ping seen at every interface it passes.

At each interface stands a packet socket (packet(7)), opened inside the namespace that the interface
is in; it gets a copy of every frame.  What differs from place to place is what the way did to it.
"""

import itertools
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from labkit.course.figures.table import Table
from labkit.errors import LabkitError
from labkit.kernel import namespaces

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

EVERY_PROTOCOL = 0x0003  # ETH_P_ALL, linux/if_ether.h
IPV4 = 0x0800
ICMP = 1
KINDS = {8: "request", 0: "reply"}
"""ICMP's types of an echo (RFC 792)."""
HOST = "/proc/self/ns/net"
WAIT_S = 3.0
FRAME_BYTES = 2048


class Place(NamedTuple):
    """An interface to listen at, in the network namespace behind the file `namespace`."""

    name: str
    """What a reader calls it: `ann`, `the bridge`."""
    interface: str
    namespace: str = HOST


class Echo(NamedTuple):
    """What a frame says: request or reply, its addresses, how many routers it may still pass."""

    kind: str
    source: str
    destination: str
    ttl: int


class Hop(NamedTuple):
    """An echo as it was seen at one place."""

    place: Place
    echo: Echo


class PacketWay:
    """The hops of one ping, there and back; places in the order of the way there."""

    def __init__(self, places: Sequence[Place], hops: Sequence[Hop]) -> None:
        self.places = tuple(places)
        self.hops = tuple(hops)

    def leg(self, kind: str) -> list[Hop]:
        """One direction, `request` or `reply`, in the order in which it went."""
        places = self.places if kind == "request" else self.places[::-1]
        return [
            hop
            for place in places
            for hop in self.hops
            if hop.place == place and hop.echo.kind == kind
        ]

    @property
    def rewritten(self) -> tuple[tuple[str, str], ...]:
        """(before, after) for each address that changed on the way there and back."""
        changes = []
        for kind in KINDS.values():
            leg = self.leg(kind)
            for before, after in itertools.pairwise(leg):
                for field in ("source", "destination"):
                    pair = (getattr(before.echo, field), getattr(after.echo, field))
                    if pair[0] != pair[1]:
                        changes.append(pair)
        return tuple(changes)

    def table(self) -> Table:
        """A row for each time it was seen."""
        return Table(
            ("leg", "seen at", "interface", "from", "to", "TTL"),
            tuple(
                (kind, hop.place.name, hop.place.interface, *map(str, hop.echo[1:]))
                for kind in KINDS.values()
                for hop in self.leg(kind)
            ),
        )

    def plot(self) -> "Figure":
        """The way there above, the way back below, a column a place."""
        from labkit.course.networks.packet_plot import plot_way  # noqa: PLC0415 matplotlib

        return plot_way(self)


def packet_way(places: Sequence[Place], ping: Callable[[], object], answerer: str) -> PacketWay:
    """Listen at all places, call `ping`, which sends one, and put together what was seen.

    `answerer` is the address that is pinged.  Raises `LabkitError` if the last place saw no answer.
    """
    seen: dict[tuple[Place, str], Hop] = {}
    with _listening(places) as sockets:
        ping()
        deadline = time.monotonic() + WAIT_S
        while (places[0], "reply") not in seen and time.monotonic() < deadline:
            for listener in select.select(list(sockets), [], [], 0.1)[0]:
                echo = read_echo(listener.recv(FRAME_BYTES))
                if echo and answerer in (echo.source, echo.destination):
                    hop = Hop(sockets[listener], echo)
                    seen.setdefault((hop.place, echo.kind), hop)
        for listener, place in sockets.items():
            _drain(listener, place, answerer, seen)
    if (places[0], "reply") not in seen:
        raise LabkitError(f"no answer from {answerer} was seen at {places[0].name}")
    return PacketWay(places, list(seen.values()))


def read_echo(frame: bytes) -> Echo | None:
    """An Ethernet frame's ICMP echo over IPv4 (RFC 791, 792); None if it is anything else."""
    if len(frame) < 14 + 20 + 8 or struct.unpack_from("!H", frame, 12)[0] != IPV4:
        return None
    packet = frame[14:]
    header = (packet[0] & 0x0F) * 4
    if packet[9] != ICMP or len(packet) <= header or packet[header] not in KINDS:
        return None
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    return Echo(KINDS[packet[header]], source, destination, packet[8])


@contextmanager
def _listening(places: Sequence[Place]) -> Iterator[dict[socket.socket, Place]]:
    with ExitStack() as opened:
        yield {opened.enter_context(_listen(place)): place for place in places}


def _listen(place: Place) -> socket.socket:
    """A socket stays in the namespace it was opened in; only a thread of its own goes there."""
    found: list[socket.socket] = []
    failed: list[OSError] = []

    def open_there() -> None:
        try:
            if place.namespace != HOST:
                namespace = os.open(place.namespace, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    namespaces.setns(namespace, namespaces.CLONE_NEWNET)
                finally:
                    os.close(namespace)
            listener = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL)
            )
            listener.bind((place.interface, 0))
            found.append(listener)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=open_there)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def _drain(
    listener: socket.socket, place: Place, answerer: str, seen: dict[tuple[Place, str], Hop]
) -> None:
    """What lies in the socket still."""
    while select.select([listener], [], [], 0)[0]:
        echo = read_echo(listener.recv(FRAME_BYTES))
        if echo and answerer in (echo.source, echo.destination):
            seen.setdefault((place, echo.kind), Hop(place, echo))
