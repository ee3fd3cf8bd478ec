"""The time of a byte to a container and back: host's network, bridge, published port.

One program in each container sends back its input (`nc -ll -e cat`).  The client is this process,
on the host, which times each round trip.  The three ways take turns, so that other work of the
machine slows all of them alike, and their medians are compared.
"""

import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

PORT, HOST_PORT, PUBLISHED_PORT = 80, 48081, 48082
TRIPS, TURNS = 200, 15
LIFETIME_S = 300.0
START_TIMEOUT_S = 60.0
HOST, BRIDGE, PUBLISHED = "--network host", "on the bridge", "a published port"


@dataclass(frozen=True)
class RoundTrips:
    """The times of the round trips of each way, in microseconds."""

    times_us: dict[str, list[float]]

    def median_us(self, way: str) -> float:
        """The median of a way, in microseconds."""
        return median(self.times_us[way])

    @property
    def times_longer(self) -> float:
        """The bridge's time as a multiple of the host's network's."""
        return self.median_us(BRIDGE) / self.median_us(HOST)

    @property
    def fastest(self) -> str:
        """The way with the shortest median."""
        return min(self.times_us, key=self.median_us)

    def table(self) -> Table:
        """A row for each way."""
        least = self.median_us(self.fastest)
        return Table(
            ("way", "round trips", "median (µs)", "times the fastest"),
            tuple(
                (way, str(len(times)), f"{median(times):.0f}", f"{median(times) / least:.2f}")
                for way, times in self.times_us.items()
            ),
        )

    def plot(self) -> Figure:
        """Draw a bar for each way."""
        medians = [self.median_us(way) for way in self.times_us]
        with style.picture(height_in=1.0 + 0.42 * len(medians)) as drawing:
            axes = drawing.subplots()
            for row, took_us in enumerate(medians):
                axes.barh(row, took_us, height=0.62, color=style.colour(row))
                axes.annotate(
                    f"{took_us:.0f} µs",
                    (took_us, row),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    fontweight="bold",
                )
            style.named_rows(axes, list(self.times_us))
            axes.set(xlim=(0, max(medians) * 1.16), xlabel="one byte there and back, median (µs)")
            style.headline(drawing, f"The fastest way: {self.fastest}")
        each = ", ".join(f"{way}: {self.median_us(way):.0f} µs" for way in self.times_us)
        return Figure(
            drawing, alt=f"Bars of the time of a byte there and back. {each}.", table=self.table()
        )

    def __repr__(self) -> str:
        return str(self.table())


def round_trips(*, client: Client | None = None) -> RoundTrips:
    """Measure the three ways.  LabkitError if a server does not answer."""
    with Crew(client or connect(), "round-trips", LIFETIME_S) as crew, ExitStack() as lines:
        _echo(crew, "host", HOST_PORT, network_mode="host")
        bridged = _echo(crew, "bridge", PORT, network_mode="bridge")
        _echo(
            crew,
            "published",
            PORT,
            network_mode="bridge",
            ports={f"{PORT}/tcp": ("127.0.0.1", PUBLISHED_PORT)},
        )
        bridged.reload()
        inside = bridged.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        ends = {
            HOST: ("127.0.0.1", HOST_PORT),
            BRIDGE: (inside, PORT),
            PUBLISHED: ("127.0.0.1", PUBLISHED_PORT),
        }
        open_lines = {way: lines.enter_context(_line(end)) for way, end in ends.items()}
        times: dict[str, list[float]] = {way: [] for way in ends}
        for _ in range(TURNS):
            for way, line in open_lines.items():
                times[way] += _trips(line, TRIPS)
        return RoundTrips(times)


def _echo(crew: Crew, name: str, port: int, **options: Any) -> Container:
    return crew.hire_plain(name, ["nc", "-ll", "-p", str(port), "-e", "cat"], **options)


def _line(end: tuple[str, int]) -> socket.socket:
    """Connect to a server, which may still be starting, and wait until it answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            line = socket.create_connection(end, timeout=5)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _trips(line, 1)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabkitError(
                    f"no answer from {end[0]}:{end[1]} in {START_TIMEOUT_S:.0f} s: {error}; "
                    "run the cell again"
                ) from None
            time.sleep(0.05)
        else:
            return line


def _trips(line: socket.socket, count: int) -> Sequence[float]:
    """The microseconds of `count` round trips of one byte."""
    times = []
    for _ in range(count):
        begin_ns = time.perf_counter_ns()
        line.sendall(b"x")
        if not line.recv(1):
            raise ConnectionError("the other end closed the connection")
        times.append((time.perf_counter_ns() - begin_ns) / 1000)
    return times
