"""Containers on the default bridge: the speed of their start, and of the data between them.

Each engine has its own network namespace as its host's network: its bridge and its firewall rules
are there, and vanish with it.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from bench import report, rootfs, timing
from bench.engines import IMAGE, Docker, Engine, Labkit
from bench.peer import MissingPeerError, Peer, command
from bench.report import Aim, RateAim
from bench.running import OfEngine
from labkit.kernel import namespaces
from labkit.kernel.network import loopback

IPERF = "iperf3"
CGROUP_PARENT = "labkit-bench-net"
THROUGHPUT_ROUNDS = 10
THROUGHPUT_S = 1
PAUSE_S = 0.15
STARTS_S = 10.0
GIGABIT = 1e9

WAYS = ("container to container", "host to container", "container to host")
RUN_AIMS = (Aim("labkit bridge run", "docker bridge run", 0.35),)
THROUGHPUT_AIMS = tuple(RateAim(f"labkit: {way}", f"docker: {way}", 0.95) for way in WAYS)

RUN = """\
## A container on the default bridge, by command

`run --rm IMAGE true`, with a cable, an address and a way out.
"""
THROUGHPUT = """\
## Data on the default bridge

One TCP connection of iperf3 for {seconds} s, between two containers, and between one and its host.
"""

Progress = Callable[[str], None]


class Networked:
    """An engine in its own network namespace, which one thread enters."""

    def __init__(self, engine: Engine) -> None:
        self.name = f"{engine.program} on a bridge"
        self.engine = engine
        self._inside = ThreadPoolExecutor(1, initializer=_leave_for_own_network)

    def setup(self, folder: str) -> None:
        """Start it there, with all its processes."""
        self._inside.submit(self.engine.setup, folder).result()

    def prepare(self) -> None:
        """Do nothing."""

    def run_once(self) -> None:
        """Do nothing: other peers use it."""

    def clean_up(self) -> None:
        """Do nothing."""

    def teardown(self) -> None:
        """End it; its network vanishes with its last process."""
        self.engine.teardown()
        self._inside.shutdown()

    def on_host(self, *words: str) -> str:
        """Return a command's output, run on this engine's host."""
        return self._inside.submit(command, words).result()


def _leave_for_own_network() -> None:
    namespaces.unshare(namespaces.CLONE_NEWNET)
    loopback.bring_up()


class BridgeRun(OfEngine):
    """`run --rm IMAGE true` on the default bridge."""

    what = "bridge run"

    def run_once(self) -> None:
        self._engine.run_program("run", "--rm", IMAGE, "true")


class Throughput(NamedTuple):
    """Two containers of an engine, one of them a server."""

    networked: Networked
    address: str
    server: str
    client: str

    def remove(self) -> None:
        """Remove both."""
        for container in (self.server, self.client):
            self.networked.engine.remove(container)

    def seconds_per_gigabit(self, way: str) -> float:
        """Return the time of a gigabit from one to the other."""
        words = [IPERF, "--client", self.address, "--time", str(THROUGHPUT_S), "--json"]
        run = {
            "container to container": lambda: self.networked.engine.cli(
                "exec", self.client, *words
            ),
            "host to container": lambda: self.networked.on_host(*words),
            "container to host": lambda: self.networked.on_host(*words, "--reverse"),
        }[way]
        bits_per_second = json.loads(run())["end"]["sum_received"]["bits_per_second"]
        return GIGABIT / float(bits_per_second)


def measure(
    ready: Callable[[Sequence[Peer]], list[Peer]], folder: str, rounds: int, progress: Progress
) -> list[str]:
    """Measure the engines whose networks work here; return the report's parts."""
    program = shutil.which(IPERF)
    tar = rootfs.write_tar(f"{folder}/network-root.tar", [program] if program else [])
    both = [
        Networked(Labkit(tar, CGROUP_PARENT)),
        Networked(Docker(tar, CGROUP_PARENT, has_networks=True)),
    ]
    ready(both)
    up = [each for each in both if each.engine.is_up]
    started = timing.measure(
        ready([BridgeRun(each.engine) for each in up]), rounds, PAUSE_S, progress
    )
    parts = [RUN, report.times(started), report.ratios(started, RUN_AIMS)]
    if program is None:
        return [*parts, f"The data rate was not measured: there is no {IPERF}."]
    rates = _throughputs(up, min(rounds, THROUGHPUT_ROUNDS), progress)
    return [
        *parts,
        THROUGHPUT.format(seconds=THROUGHPUT_S),
        report.rates(rates, 1, "Gbit/s"),
        report.rate_ratios(rates, THROUGHPUT_AIMS),
    ]


def _throughputs(
    up: Sequence[Networked], rounds: int, progress: Progress
) -> dict[str, list[float]]:
    """Return seconds for a gigabit, by engine and direction; the first of a round changes."""
    pairs: list[Throughput] = []
    measured: dict[str, list[float]] = {}
    try:
        pairs += map(_start_pair, up)
        for number in range(-1, rounds):
            first = number % len(pairs) if pairs else 0
            for way in WAYS:
                for pair in (*pairs[first:], *pairs[:first]):
                    found = pair.seconds_per_gigabit(way)
                    if number >= 0:
                        name = f"{pair.networked.engine.program}: {way}"
                        measured.setdefault(name, []).append(found)
            progress(f"data on bridges: round {max(number + 1, 0)} of {rounds}")
    finally:
        for pair in pairs:
            pair.remove()
    return measured


def _start_pair(networked: Networked) -> Throughput:
    engine = networked.engine
    server = engine.cli("run", "-d", IMAGE, IPERF, "--server")
    client = engine.cli("run", "-d", IMAGE, "sleep", "3600")
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    pair = Throughput(networked, engine.cli("inspect", "-f", form, server), server, client)
    deadline = time.monotonic() + STARTS_S
    while True:
        try:
            networked.on_host(IPERF, "--client", pair.address, "--bytes", "1K")
        except MissingPeerError:  # the server is not ready
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
        else:
            return pair
