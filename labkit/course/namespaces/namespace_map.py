"""Who shares which namespace: a map read from /proc, as `lsns` reads it (namespaces(7))."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

KINDS = ("mnt", "uts", "ipc", "pid", "net", "cgroup", "user", "time")
"""The names in /proc/<pid>/ns: the notes' six, and two that came later."""
HOST = "the host"


@dataclass(frozen=True)
class Resident:
    """A process, and the inode number of each of its namespaces."""

    name: str
    pid: int
    inodes: dict[str, int]


@dataclass(frozen=True)
class NamespaceMap:
    """A process of the host, this one, and some containers' first processes."""

    residents: tuple[Resident, ...]

    def shared_with(self, name: str, kind: str) -> list[str]:
        """Who is in the same namespace as `name`."""
        own = next(one for one in self.residents if one.name == name)
        return [
            one.name
            for one in self.residents
            if one is not own and one.inodes[kind] == own.inodes[kind]
        ]

    def table(self) -> Table:
        """A row a namespace kind, a column a process; inode numbers as `ls -l` shows them."""
        return Table(
            ("namespace", *(f"{one.name} ({one.pid})" for one in self.residents)),
            tuple((kind, *(f"[{one.inodes[kind]}]" for one in self.residents)) for kind in KINDS),
        )

    def plot(self) -> "Figure":
        """A row a process, a column a kind; equal colours are the same namespace."""
        from labkit.course.namespaces.namespace_plot import plot_namespaces  # noqa: PLC0415 matplotlib

        return plot_namespaces(self)


def inodes(pid: int | str) -> dict[str, int]:
    """The inode number of each namespace of a process: equal numbers, the same namespace."""
    return {kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in KINDS}


def said_inside(container: Container, *command: str) -> str:
    """What a command prints in a running container; LabkitError if it fails there."""
    done = container.exec_run(command)
    if done.exit_code or not isinstance(done.output, bytes):
        raise LabkitError(f"{' '.join(command)} in {container.name} failed: {done.output!r}")
    return done.output.decode()


def inside_and_outside(name: str, client: Client | None = None) -> Table:
    """The numbers as the container reads them of itself, and as we read them of its process."""
    container = (client or connect()).containers.get(name)
    files = [f"/proc/self/ns/{kind}" for kind in KINDS]
    pid = int(container.attrs["State"]["Pid"])
    ours, outside = inodes("self"), inodes(pid)
    inside = said_inside(container, "stat", "-L", "-c", "%i", *files).split()
    return Table(
        ("namespace", f"inside {name}", f"outside, of process {pid}", "the host's own"),
        tuple(
            (kind, f"[{seen}]", f"[{outside[kind]}]", f"[{ours[kind]}]")
            for kind, seen in zip(KINDS, inside, strict=True)
        ),
    )


def namespace_map(*names: str, client: Client | None = None) -> NamespaceMap:
    """The map of the host and these running containers."""
    client = client or connect()
    return map_of({name: client.containers.get(name) for name in names})


def map_of(containers: Mapping[str, Container]) -> NamespaceMap:
    """The map of the host and these running containers, by the names they are to have in it."""
    found = [Resident(HOST, os.getpid(), inodes("self"))]
    for name, container in containers.items():
        pid = int(container.attrs["State"]["Pid"])
        found.append(Resident(name, pid, inodes(pid)))
    return NamespaceMap(tuple(found))
