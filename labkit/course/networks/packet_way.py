"""The recorded way of a packet: the same ping at every interface on its way.

Each interface has a packet socket (packet(7)), opened inside the interface's namespace; it gets a
copy of every frame.  A difference between two places was made on the way between them.
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
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.errors import LabkitError
from labkit.kernel import namespaces

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

EVERY_PROTOCOL = 0x0003  # ETH_P_ALL, linux/if_ether.h
IPV4 = 0x0800
ICMP = 1
KINDS = {8: "request", 0: "reply"}
"""The types of an ICMP echo (RFC 792)."""
HOST = "/proc/self/ns/net"
WAIT_S = 3.0
FRAME_BYTES = 2048


class Place(NamedTuple):
    """An interface to listen at, in the network namespace of the file `namespace`."""

    name: str
    """The name for readers: `ann`, `the bridge`."""
    interface: str
    namespace: str = HOST


class Echo(NamedTuple):
    """The content of a frame: request or reply, its addresses, and its time to live in hops."""

    kind: str
    source: str
    destination: str
    ttl: int


class Hop(NamedTuple):
    """An echo as seen at one place."""

    place: Place
    echo: Echo


class PacketWay:
    """The hops of one ping, there and back; places in the order of the way there."""

    def __init__(self, places: Sequence[Place], hops: Sequence[Hop]) -> None:
        self.places = tuple(places)
        self.hops = tuple(hops)

    def leg(self, kind: str) -> list[Hop]:
        """The hops in one direction, `request` or `reply`, in their order."""
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
        """A row for each place and direction."""
        return Table(
            ("leg", "seen at", "interface", "from", "to", "TTL"),
            tuple(
                (kind, hop.place.name, hop.place.interface, *map(str, hop.echo[1:]))
                for kind in KINDS.values()
                for hop in self.leg(kind)
            ),
        )

    def plot(self) -> "Figure":
        """Draw the way there above, the way back below, with a column for each place."""
        return plot_way(self)


def packet_way(places: Sequence[Place], ping: Callable[[], object], answerer: str) -> PacketWay:
    """Listen at all places, call `ping`, which sends one ping, and combine the frames seen.

    `answerer` is the pinged address.  Raises `LabkitError` if the first place saw no answer.
    """
    way = seen_way(places, ping, answerer)
    if not any(hop.place == places[0] for hop in way.leg("reply")):
        raise LabkitError(f"no answer from {answerer} was seen at {places[0].name}")
    return way


def seen_way(places: Sequence[Place], ping: Callable[[], object], answerer: str) -> PacketWay:
    """The way as far as it went: `packet_way` for a ping that may stay without an answer."""
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
    """Open a socket in a separate thread, for it stays in the namespace it was opened in."""
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
    """Read the packets that are still in the socket."""
    while select.select([listener], [], [], 0)[0]:
        echo = read_echo(listener.recv(FRAME_BYTES))
        if echo and answerer in (echo.source, echo.destination):
            seen.setdefault((place, echo.kind), Hop(place, echo))


# The picture of `packet_way`: a column for each interface, there above and back below.


LANES = {"request": 1.62, "reply": 0.35}
"""The heights of the two directions."""
HALF = 0.4
"""Half the width of a card."""


def plot_way(way: PacketWay) -> Figure:
    """Draw a card for each place; an address that was rewritten just before it is marked."""
    count = len(way.places)
    with style.picture(height_in=3.5) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(-0.08, count + 0.02), ylim=(-0.25, 3.0))
        axes.set_axis_off()
        for column, place in enumerate(way.places):
            axes.text(column + 0.5, 2.78, place.name, ha="center", fontsize=9, fontweight="bold")
            axes.text(
                column + 0.5, 2.5, place.interface, ha="center", fontsize=7.5, color=style.QUIET
            )
            axes.plot([column + 0.5] * 2, [-0.2, 2.4], color=style.GRID, linewidth=1.2, zorder=0)
        for kind, height in LANES.items():
            _lane(axes, way, way.leg(kind), height)
        style.headline(drawing, _finding(way), "crimson: rewritten here")
    return Figure(drawing, alt=_alt(way), table=way.table())


def _lane(axes: Any, way: PacketWay, leg: Sequence[Hop], height: float) -> None:
    before: Hop | None = None
    for hop in leg:
        column = way.places.index(hop.place)
        _card(axes, column, height, hop, before)
        if before is not None:
            start = way.places.index(before.place)
            side = HALF if column > start else -HALF
            axes.annotate(
                "",
                (column + 0.5 - side, height),
                (start + 0.5 + side, height),
                arrowprops={
                    "arrowstyle": "-|>", "color": style.INK, "shrinkA": 0, "shrinkB": 0,
                },
            )  # fmt: skip
        before = hop


def _card(axes: Any, column: int, height: float, hop: Hop, before: Hop | None) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    axes.add_patch(
        Rectangle(
            (column + 0.5 - HALF, height - 0.45), 2 * HALF, 0.9,
            facecolor="#F3F5F7", edgecolor=style.colour(0), linewidth=1.1, zorder=2,
        )
    )  # fmt: skip
    lines = (("from", "source"), ("to", "destination"))
    for number, (word, field) in enumerate(lines):
        value = getattr(hop.echo, field)
        is_new = before is not None and getattr(before.echo, field) != value
        axes.text(
            column + 0.5 - HALF + 0.03, height + 0.27 - number * 0.24, f"{word} {value}",
            fontsize=7, va="center", zorder=3, fontweight="bold" if is_new else "normal",
            color=style.readable(1) if is_new else style.INK,
        )  # fmt: skip
    axes.text(
        column + 0.5 - HALF + 0.03, height - 0.25, f"{hop.echo.kind}, TTL {hop.echo.ttl}",
        fontsize=7, va="center", color=style.QUIET, zorder=3,
    )  # fmt: skip


def _finding(way: PacketWay) -> str:
    if not way.rewritten:
        return "One ping, and no address changes"
    before, after = way.rewritten[0]
    return f"Out as {after}, not as {before}"


def _alt(way: PacketWay) -> str:
    legs = "; ".join(
        f"the {kind}: "
        + ", ".join(
            f"at {hop.place.name} from {hop.echo.source} to {hop.echo.destination}"
            for hop in way.leg(kind)
        )
        for kind in LANES
    )
    return f"A ping's way, seen at {len(way.places)} interfaces; {legs}. {_finding(way)}."
