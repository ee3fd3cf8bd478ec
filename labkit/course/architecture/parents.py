"""Whose child is a container's process?  The chain of parents, read from the kernel."""

import socket
import struct

import psutil

from labkit.client.containers import Container
from labkit.course.figures.table import Table
from labkit.paths import Paths

ROLES = {"labkit-shim": "the shim: one for each container", "labkit-spawner": "the spawner"}
"""By the process's own name."""
DAEMON_WORD = "labkit.daemon"
"""What a daemon's command line says."""


def chain(container: Container) -> list[psutil.Process]:
    """The container's first process, its parent, and so on, as far as they are labkit's."""
    container.reload()
    first = psutil.Process(int(container.attrs["State"]["Pid"]))
    parents = [one for one in first.parents() if one.name() in ROLES or _is_daemon(one)]
    return [first, *parents]


def daemon() -> psutil.Process:
    """The process that listens on the lab's socket, as the kernel names it (SO_PEERCRED, unix(7)).

    ConnectionRefusedError or FileNotFoundError if no daemon listens.
    """
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(Paths.from_environment().socket)
        record = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return psutil.Process(struct.unpack("3i", record)[0])


def parents(container: Container) -> Table:
    """The chain as rows, the oldest first; indented as a tree is."""
    rows = []
    for depth, one in enumerate(reversed(chain(container))):
        role = ROLES.get(one.name(), "the daemon" if _is_daemon(one) else "in the container")
        name = "labkitd" if _is_daemon(one) else one.name()
        rows.append(("   " * depth + ("└─ " if depth else "") + name, str(one.pid), role))
    return Table(("process", "PID", "what it is"), tuple(rows))


def _is_daemon(process: psutil.Process) -> bool:
    return DAEMON_WORD in process.cmdline()
