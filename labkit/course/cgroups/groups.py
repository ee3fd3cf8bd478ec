"""The cgroups of a process, as two files of /proc describe them (cgroups(7)).

`/proc/PID/cgroup` names the groups of a process, `/proc/self/mountinfo` the places where they are
mounted.
"""

import os
import signal
import time
from contextlib import suppress
from typing import NamedTuple

from labkit.errors import LabkitError, NotFoundError

REMOVE_TIMEOUT_S = 10.0


class Place(NamedTuple):
    """A process's group in the hierarchy of one controller, whose cgroup `version` is 1 or 2."""

    version: int
    folder: str

    def read(self, file: str) -> str:
        """The content of one of the group's files; FileNotFoundError if there is no such file."""
        with open(f"{self.folder}/{file}", encoding="ascii") as text:
            return text.read().strip()


def place_of(pid: int, controller: str) -> Place:
    """The group of process `pid` under a controller of version 1, or else under version 2.

    `controller` is version 1's name.  Raises `NotFoundError` if the process has ended, or if
    neither version is mounted.
    """
    try:
        places, mounted = places_of(pid), mounted_here()
    except (FileNotFoundError, ProcessLookupError):
        raise NotFoundError(f"process {pid} is gone: its container has ended") from None
    for version, name in ((1, controller), (2, "")):
        found = folder(name, places, mounted)
        if found is not None:
            return Place(version, found)
    raise NotFoundError(f"no {controller} controller is mounted here (see `labkit doctor`)")


def places_of(pid: int) -> dict[str, str]:
    """`places` of a process; FileNotFoundError or ProcessLookupError if it has ended."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        return places(file.read())


def mounted_here() -> dict[str, tuple[str, str]]:
    """`mounted` for this process's mount table."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return mounted(file.read())


def places(text: str) -> dict[str, str]:
    """Controller → path within its hierarchy, from `/proc/PID/cgroup`; v2's key is ""."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def mounted(text: str) -> dict[str, tuple[str, str]]:
    """Controller → (mount point, the path within the hierarchy that is mounted there)."""
    found: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            found.setdefault("", (point, root))
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, (point, root))
    return found


def folder(
    controller: str, places: dict[str, str], mounted: dict[str, tuple[str, str]]
) -> str | None:
    """The controller's group among `places`, as a folder; None if it is not mounted."""
    if controller not in places or controller not in mounted:
        return None
    point, root = mounted[controller]
    path = places[controller]
    if root != "/":
        path = path.removeprefix(root)
    return (point + "/" + path.strip("/")).rstrip("/")


def remove_group(folder: str) -> None:
    """End the processes of a group made by hand, and remove it; no error if there is none.

    LabkitError if it cannot be removed, for example because it has subgroups.
    """
    deadline = time.monotonic() + REMOVE_TIMEOUT_S
    while os.path.exists(folder):
        try:
            os.rmdir(folder)
        except OSError as error:  # a process in it has not ended yet
            if time.monotonic() > deadline:
                raise LabkitError(f"the group {folder} cannot be removed: {error}") from None
            _kill_all(folder)
            time.sleep(0.02)


def _kill_all(folder: str) -> None:
    with suppress(FileNotFoundError), open(f"{folder}/cgroup.procs", encoding="ascii") as file:
        for pid in file.read().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
