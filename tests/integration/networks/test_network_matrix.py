"""Who reaches whom: every kind of network against everything it may want to reach, TCP and UDP.

The table says what is to be so; each of its cells is tried with packets.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests import networking
from tests.lab import Lab, running_lab
from tests.networking import HOST, PATIENCE_S, SILENCE_S, Answering, Outside, ask

pytestmark = pytest.mark.root

TABLE = """
                     none  host  bridge  blue  green  vault  container:
    loopback          yes   yes    yes    yes   yes    yes      yes
    neighbour         no    yes    yes    yes   yes    yes      yes
    by name           no    no     no     yes   yes    yes      yes
    stranger          no    yes    no     no    no     no       no
    stranger's port   no    yes    yes    yes   yes    no       yes
    from the host     no    yes    yes    yes   yes    yes      yes
    to the host       no    yes    yes    yes   yes    no       yes
    to the gateway    no    no     yes    yes   yes    yes      yes
    published         no    no     yes    yes   yes    no       yes
    at localhost      no    no     yes    yes   yes    no       yes
    its own port      no    no     yes    yes   yes    no       yes
    outside           no    yes    yes    yes   yes    no       yes
    from outside      no    yes    no     no    no     no       no
"""
"""Rows, what is tried; columns, the network of the container with which it is tried.

| row             | from            | to                                                          |
|-----------------|-----------------|-------------------------------------------------------------|
| loopback        | the container   | itself, at 127.0.0.1                                        |
| neighbour       | the container   | another of the same network, at its address                 |
| by name         | the container   | the neighbour, by the address its name has in the container |
| stranger        | the container   | one of another network, at its address                      |
| stranger's port | the container   | one of another network, at the host's port it has published |
| from the host   | the host        | the container, at its address                               |
| to the host     | the container   | a program of the host's, at the host's own address          |
| to the gateway  | the container   | the same, at the address of the container's bridge          |
| published       | the test host   | the host's port that was published                          |
| at localhost    | the host        | the same, at 127.0.0.1                                      |
| its own port    | the container   | the same, at the host's own address ("hairpin")             |
| outside         | the container   | the test host, which must see the host's address (NAT)      |
| from outside    | the test host   | the container, at its address and port, by a route          |

`blue` and `green` are user-defined bridges, `vault` is internal, `container:` shares the network of
another on `blue`.  With `host` its address is the host's, and publishing is discarded.
"""

_header, *_rows = TABLE.strip().splitlines()
NETWORKS = _header.split()
CELLS = [
    (" ".join(words[: -len(NETWORKS)]), network, answer == "yes")
    for words in (row.split() for row in _rows)
    for network, answer in zip(NETWORKS, words[-len(NETWORKS) :], strict=True)
]
PORT, SHARED_PORT = 1080, 1081
"""Where containers answer, and the one that shares another's network."""


class Place(NamedTuple):
    """A container, and where it is reached."""

    name: str
    pid: int
    address: str
    """Empty if it has none but the loopback's."""
    port: int
    gateway: str
    """The host's address on its network; empty if it is on none."""
    published: dict[str, int]
    """The host's ports, by protocol."""


class Field(NamedTuple):
    """All that is up: the containers with which things are tried, and whom they meet."""

    containers: dict[str, Place]
    neighbours: dict[str, Place]
    resolved: dict[str, str]
    """What the neighbour's name means in each container: an address, or nothing."""
    stranger: Place
    outside: Outside
    host_port: int
    outside_port: int


def publish(port: int) -> tuple[str, ...]:
    return ("-p", f"0:{port}/tcp", "-p", f"0:{port}/udp")


def run(lab: Lab, name: str, network: str, *options: str, port: int = PORT) -> Place:
    words = ("run", "-d", "--name", name, "--network", network, *options, "busybox")
    lab.cli(*words, "sleep", "100000", check=True, timeout=PATIENCE_S)
    shown = lab.api("GET", f"/containers/{name}/json")[1]
    settings = shown["NetworkSettings"]
    published = {
        key.partition("/")[2]: int(places[0]["HostPort"])
        for key, places in settings["Ports"].items()
        if places
    }
    address = gateway = ""
    for end in settings["Networks"].values():
        address = end["IPAddress"]
        for config in lab.api("GET", f"/networks/{network}")[1]["IPAM"]["Config"] or []:
            gateway = config["Gateway"]
    return Place(name, shown["State"]["Pid"], address, port, gateway, published)


def start_all(lab: Lab, outside: Outside, answering: Answering) -> Field:
    for name in ("blue", "green", "elsewhere"):
        lab.cli("network", "create", name, check=True)
    lab.cli("network", "create", "--internal", "vault", check=True)
    bridges = ("bridge", "blue", "green", "vault")
    containers = {
        name: run(lab, f"at-{name}", name, *publish(PORT)) for name in ("none", "host", *bridges)
    }
    neighbours = {name: run(lab, f"near-{name}", name) for name in bridges}
    stranger = run(lab, "stranger", "elsewhere", *publish(PORT))
    owner = run(lab, "owner", "blue", *publish(SHARED_PORT), port=SHARED_PORT)
    sharer = run(lab, "sharer", "container:owner")
    for place in (*containers.values(), *neighbours.values(), stranger):
        if place.name != "at-host":
            answering.add(place.name, place.pid, place.port)
    answering.add("sharer", sharer.pid, SHARED_PORT)
    containers["container:"] = owner._replace(name="sharer", pid=sharer.pid)
    # On the host's network any port may be in use, and its address is one of the host's.
    host = containers["host"]
    port = answering.add(host.name, host.pid, 0)
    containers["host"] = host._replace(address=outside.host_address, port=port)
    neighbours |= {
        "container:": containers["blue"],
        "host": containers["blue"],
        "none": stranger,  # nobody is on it: any will do
    }
    return Field(
        containers,
        neighbours,
        {name: resolve(lab, containers[name], near) for name, near in neighbours.items()},
        stranger,
        outside,
        host_port=answering.add("host", HOST, 0),
        outside_port=answering.add("outside", outside.pid, 0),
    )


def resolve(lab: Lab, place: Place, near: Place) -> str:
    """The address that a container's C library gives for another's name; empty if it has none."""
    # ping says whom it is about to ask; whether it is answered does not matter.
    done = lab.cli("exec", place.name, "timeout", "10", "ping", "-c", "1", "-W", "1", near.name)
    found = re.match(r"PING \S+ \(([0-9.]+)\)", done.stdout)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    """Networks, containers, the test host; and everyone answers."""
    with (
        running_lab() as lab,
        networking.outside_host() as outside,
        contextlib.closing(Answering()) as answering,
    ):
        yield start_all(lab, outside, answering)


class Way(NamedTuple):
    """One cell, as a question to somebody."""

    pid: int
    """In whose network it is asked."""
    address: str
    port: int
    """0, or no address, if there is none to ask at."""
    who: str
    """Who is to answer."""
    seen: str = ""
    """The address that it must see the question come from; empty for any."""


def ways(field: Field, network: str, protocol: str) -> dict[str, Way]:
    """The cells of one column."""
    place, near, far = field.containers[network], field.neighbours[network], field.stranger
    outside, pid, own = field.outside, place.pid, place.published.get(protocol, 0)
    host = outside.host_address
    far_port = far.published[protocol]
    return {
        "loopback": Way(pid, "127.0.0.1", place.port, place.name, "127.0.0.1"),
        "neighbour": Way(pid, near.address, near.port, near.name),
        "by name": Way(pid, field.resolved[network], near.port, near.name),
        "stranger": Way(pid, far.address, far.port, far.name),
        "stranger's port": Way(pid, host, far_port, far.name),
        "from the host": Way(HOST, place.address, place.port, place.name),
        "to the host": Way(pid, host, field.host_port, "host", place.address),
        "to the gateway": Way(pid, place.gateway, field.host_port, "host", place.address),
        "published": Way(outside.pid, host, own, place.name, outside.address),
        "at localhost": Way(HOST, "127.0.0.1", own, place.name, place.gateway),
        "its own port": Way(pid, host, own, place.name),
        "outside": Way(pid, outside.address, field.outside_port, "outside", host),
        "from outside": Way(outside.pid, place.address, place.port, place.name),
    }


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("row", "network", "expected"), CELLS)
def test_cell(field, row, network, expected, protocol):
    way = ways(field, network, protocol)[row]
    answer = None
    if way.address and way.port:
        patience_s = PATIENCE_S if expected else SILENCE_S
        answer = ask(way.pid, protocol, way.address, way.port, patience_s=patience_s)
    assert (answer is not None) == expected, answer
    if answer is not None:
        assert answer.who == way.who
        assert answer.seen == (way.seen or answer.seen)
