"""The parents of a container's first process, read from the kernel."""

import socket
import struct

import psutil

from labkit.client.containers import Container
from labkit.course.figures.table import Table
from labkit.paths import Paths

ROLES = {"labkit-shim": "the shim: one for each container", "labkit-spawner": "the spawner"}
"""The roles, by the process's name."""
DAEMON_WORD = "labkit.daemon"
"""A daemon's command line contains this word."""


def chain(container: Container) -> list[psutil.Process]:
    """The container's first process, its parent, and so on, as long as these are labkit's."""
    container.reload()
    first = psutil.Process(int(container.attrs["State"]["Pid"]))
    parents = [one for one in first.parents() if one.name() in ROLES or _is_daemon(one)]
    return [first, *parents]


def daemon() -> psutil.Process:
    """The process that listens on the lab's socket, from the kernel (SO_PEERCRED, unix(7)).

    ConnectionRefusedError or FileNotFoundError if no daemon listens.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(Paths.from_environment().socket)
        record = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return psutil.Process(struct.unpack("3i", record)[0])


def parents(container: Container) -> Table:
    """The chain as rows, the oldest process first, indented like a tree."""
    rows = []
    for depth, one in enumerate(reversed(chain(container))):
        role = ROLES.get(one.name(), "the daemon" if _is_daemon(one) else "in the container")
        name = "labkitd" if _is_daemon(one) else one.name()
        rows.append(("   " * depth + ("└─ " if depth else "") + name, str(one.pid), role))
    return Table(("process", "PID", "role"), tuple(rows))


def _is_daemon(process: psutil.Process) -> bool:
    return DAEMON_WORD in process.cmdline()
