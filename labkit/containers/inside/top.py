"""`top`: the processes of a container as the host sees them.

As in Docker, the host's `ps` runs, and only its lines for the container's processes are kept: a
user can choose the columns with options of ps (`-o pid,comm`, `aux`).
"""

import os
import subprocess
from contextlib import suppress
from typing import NamedTuple

from labkit.cgroups import Layout, groups
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.errors import ConflictError, InvalidParameterError

DEFAULT_ARGUMENTS = "-ef"
PS_TIMEOUT_S = 10.0


class Processes(NamedTuple):
    """A table: the titles of the columns, and a row of texts for each process."""

    titles: list[str]
    rows: list[list[str]]


def top(layout: Layout, entry: Entry, arguments: str) -> Processes:
    """The container's processes; ConflictError if it does not run, InvalidParameterError by ps."""
    container = entry.container
    if container.state.status not in states.ALIVE:
        raise ConflictError(f"Container {container.id} is not running")
    try:
        wanted = pids(layout, container.id) if layout.hierarchies else related(container.state.pid)
    except FileNotFoundError:
        raise ConflictError(f"Container {container.id} is not running: it has ended") from None
    return parse(_ps(arguments or DEFAULT_ARGUMENTS), wanted)


def pids(layout: Layout, container_id: str) -> set[int]:
    """The host's ids of the processes in the container's cgroup."""
    controller = next(iter(layout.hierarchies))
    text = groups.read(layout.path(container_id, controller, "cgroup.procs"))
    return {int(word) for word in text.split()}


def related(pid: int) -> set[int]:
    """The processes in the PID namespace of the container's first process, found without a cgroup.

    FileNotFoundError if that process has ended.  In the host's PID namespace only it is known.
    """
    space = os.stat(f"/proc/{pid}/ns/pid").st_ino
    if space == os.stat("/proc/self/ns/pid").st_ino:
        return {pid}
    found = set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):  # it has just ended, or belongs to another user
            if os.stat(f"/proc/{name}/ns/pid").st_ino == space:
                found.add(int(name))
    return found


def _ps(arguments: str) -> str:
    try:
        ended = subprocess.run(
            ["ps", *arguments.split()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PS_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise InvalidParameterError(
            "top needs the program ps on the host: install the package procps"
        ) from None
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise InvalidParameterError(f"ps {arguments}: {said or 'no process was found'}")
    return ended.stdout.decode(errors="replace")


def parse(text: str, wanted: set[int]) -> Processes:
    """Keep the lines of ps whose PID is in `wanted`; the last column may contain spaces."""
    head, *lines = text.splitlines() or [""]
    titles = head.split()
    if "PID" not in titles:
        raise InvalidParameterError("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = []
    for line in lines:
        words = line.split(maxsplit=len(titles) - 1)
        if len(words) > column and words[column].isdigit() and int(words[column]) in wanted:
            rows.append(words)
    return Processes(titles, rows)
