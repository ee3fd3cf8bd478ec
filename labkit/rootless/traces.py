"""The notes of an engine without root in its run folder, for the next labkitd.

namespaces.json  the numbers of the namespaces: if the holder was killed, any process that is left
                 in them leads a new holder to them
group.json       labkitd's v2 group and the folder of its containers' groups.  A labkitd that
                 systemd starts in another scope could not use these, nor pause a container
                 (cgroups(7), "Delegation containment rules")
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

NAMESPACES = ("user", "mnt", "ipc", "net")
"""The order in which a process must join them."""


def write_namespaces(run: str, fds: Sequence[int]) -> None:
    """Write down open namespaces, in the order of `NAMESPACES`."""
    _write(f"{run}/namespaces.json", [os.fstat(fd).st_ino for fd in fds])


def find_namespaces(run: str) -> list[int]:
    """Open the noted namespaces through a process that is in all of them; [] if there is none."""
    noted = _read(f"{run}/namespaces.json")
    if not isinstance(noted, list):
        return []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):  # another user's process, or it has just ended
            if list(_numbers(pid)) == noted:
                return [
                    os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
                    for name in NAMESPACES
                ]
    return []


def _numbers(pid: str) -> Iterator[int]:
    return (os.stat(f"/proc/{pid}/ns/{name}").st_ino for name in NAMESPACES)


def write_group(run: str, own: str, containers: str) -> None:
    """Write down the v2 folder of labkitd's group, and the parent of its containers' groups."""
    _write(f"{run}/group.json", [own, containers])


def rejoin_group(run: str) -> None:
    """Move this process to the group of the last labkitd, if that one left containers there."""
    noted = _read(f"{run}/group.json")
    if not isinstance(noted, list):
        return
    own, containers = noted
    with suppress(OSError):  # the groups were removed with their scope
        if any(entry.is_dir() for entry in os.scandir(containers)):
            with open(f"{own}/cgroup.procs", "w") as file:
                file.write("0")


def _write(path: str, value: object) -> None:
    with open(f"{path}.new", "w") as file:
        json.dump(value, file)
    os.replace(f"{path}.new", path)


def _read(path: str) -> object:
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
