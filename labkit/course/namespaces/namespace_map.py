"""A map of shared namespaces, read from /proc, as `lsns` reads it (namespaces(7))."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

KINDS = ("mnt", "uts", "ipc", "pid", "net", "cgroup", "user", "time")
"""The names in /proc/<pid>/ns: the notes' six, and two newer ones."""
HOST = "the host"


@dataclass(frozen=True)
class Resident:
    """A process, and the inode number of each of its namespaces."""

    name: str
    pid: int
    inodes: dict[str, int]


@dataclass(frozen=True)
class NamespaceMap:
    """This process of the host, and the first processes of some containers."""

    residents: tuple[Resident, ...]

    def shared_with(self, name: str, kind: str) -> list[str]:
        """The processes in the same namespace as `name`."""
        own = next(one for one in self.residents if one.name == name)
        return [
            one.name
            for one in self.residents
            if one is not own and one.inodes[kind] == own.inodes[kind]
        ]

    def table(self) -> Table:
        """A row for each kind of namespace, a column for each process; numbers as in `ls -l`."""
        return Table(
            ("namespace", *(f"{one.name} ({one.pid})" for one in self.residents)),
            tuple((kind, *(f"[{one.inodes[kind]}]" for one in self.residents)) for kind in KINDS),
        )

    def plot(self) -> "Figure":
        """Draw a row for each process, a column for each kind; same colour means same namespace."""
        return plot_namespaces(self)


def inodes(pid: int | str) -> dict[str, int]:
    """The inode number of each namespace of a process: equal numbers mean the same namespace."""
    return {kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in KINDS}


def said_inside(container: Container, *command: str) -> str:
    """The output of a command in a running container; LabkitError if it fails there."""
    done = container.exec_run(command)
    if done.exit_code or not isinstance(done.output, bytes):
        raise LabkitError(f"{' '.join(command)} in {container.name} failed: {done.output!r}")
    return done.output.decode()


def inside_and_outside(name: str, client: Client | None = None) -> Table:
    """The numbers that a container reads of itself, and those that we read of its process."""
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
    """The map of the host and these running containers, with their names in the map."""
    found = [Resident(HOST, os.getpid(), inodes("self"))]
    for name, container in containers.items():
        pid = int(container.attrs["State"]["Pid"])
        found.append(Resident(name, pid, inodes(pid)))
    return NamespaceMap(tuple(found))


# The picture of `namespace_map`: the processes and their namespaces.


OF_WHAT = {
    "mnt": "mounts",
    "uts": "host name",
    "ipc": "memory",
    "pid": "processes",
    "net": "network",
    "cgroup": "groups",
    "user": "users",
    "time": "clocks",
}
"""The object of each kind of namespace, in a word."""


def plot_namespaces(found: NamespaceMap) -> Figure:
    """Draw the map; grey is the host's, every other namespace has the colour of its maker."""
    rows = len(found.residents)
    with style.picture(height_in=1.0 + 0.55 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(-2.1, len(KINDS)), ylim=(rows, -0.9))
        axes.set_axis_off()
        for column, kind in enumerate(KINDS):
            axes.text(column + 0.5, -0.5, kind, ha="center", va="center", fontweight="bold")
            small = {"ha": "center", "va": "center", "fontsize": 7.5, "color": style.QUIET}
            axes.text(column + 0.5, -0.16, OF_WHAT[kind], **small)
            owners: dict[int, int] = {}
            for row, one in enumerate(found.residents):
                owner = owners.setdefault(one.inodes[kind], row)
                _cell(axes, column, row, one.inodes[kind], owner)
        for row, one in enumerate(found.residents):
            axes.text(-2.05, row + 0.35, one.name, va="center", fontweight="bold")
            axes.text(
                -2.05,
                row + 0.68,
                f"process {one.pid}",
                va="center",
                fontsize=7.5,
                color=style.QUIET,
            )
        style.headline(
            drawing, "Which containers share a namespace", "same colour: the same namespace"
        )
    return Figure(drawing, alt=_alt(found), table=found.table())


def _cell(axes: Any, column: int, row: int, inode: int, owner: int) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    face = style.PALE if owner == 0 else style.readable(owner - 1)
    axes.add_patch(Rectangle((column + 0.05, row + 0.1), 0.9, 0.8, facecolor=face))
    axes.text(
        column + 0.5,
        row + 0.5,
        f"…{inode % 100000:05}",
        ha="center",
        va="center",
        fontsize=8,
        color=style.INK if owner == 0 else "white",
    )


def _alt(found: NamespaceMap) -> str:
    parts = []
    for one in found.residents:
        if one.name == HOST:
            continue
        with_whom: dict[str, list[str]] = {}
        for kind in KINDS:
            if others := found.shared_with(one.name, kind):
                whom = HOST if HOST in others else " and ".join(others)
                with_whom.setdefault(whom, []).append(kind)
        shared = [f"{', '.join(kinds)} with {whom}" for whom, kinds in with_whom.items()]
        parts.append(f"{one.name} shares {' and '.join(shared) or 'nothing'}")
    return f"The namespaces of the host and its containers, by inode number: {'; '.join(parts)}."
