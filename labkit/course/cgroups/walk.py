"""The walk through /sys/fs/cgroup: a container's folders, and what its flags have written there.

The folders are found as the kernel names them (`groups` beside this file), and which flag writes
which file is the engine's own table (`labkit.cgroups.v1`, `labkit.cgroups.v2`).
"""

import os
from typing import NamedTuple

from labkit.cgroups import v1, v2
from labkit.cgroups.hierarchies import parse_mounts
from labkit.client.containers import Container
from labkit.course.cgroups import groups
from labkit.course.figures.table import Table

SHORT = 12
EVERY_CONTROLLER = "all controllers"


class Home(NamedTuple):
    """One folder that is a container's: in the hierarchy of these controllers."""

    controllers: tuple[str, ...]
    version: int
    point: str
    """Where the hierarchy is mounted."""
    path: str
    """The container's group below that; its last part is, or holds, the container's id."""

    @property
    def folder(self) -> str:
        """The whole path."""
        return f"{self.point}{self.path}"

    @property
    def name(self) -> str:
        """The controllers in words."""
        return ", ".join(self.controllers) or EVERY_CONTROLLER


class Walk(NamedTuple):
    """The folders of one container, in the order of their hierarchies' names."""

    container_id: str
    homes: tuple[Home, ...]

    def table(self) -> Table:
        """A row a folder."""
        rows = [
            (home.name, str(home.version), short(home.folder, self.container_id))
            for home in self.homes
        ]
        return Table(("controllers", "version", "folder"), tuple(rows))

    def written(self, *flags: str) -> Table:
        """For each of these flags of `docker run`, the files it decides, and what is in them."""
        rows = []
        for home in self.homes:
            for rule in (v1 if home.version == 1 else v2).RULES:
                path = f"{home.folder}/{rule.file}"
                is_here = home.version == 2 or rule.controller in home.controllers
                if rule.flag in flags and is_here and os.path.exists(path):
                    with open(path, encoding="ascii") as file:
                        value = " / ".join(file.read().split("\n")[:-1])
                    rows.append((rule.flag, rule.file, value))
        rows.sort(key=lambda row: flags.index(row[0]))
        versions = sorted({str(home.version) for home in self.homes})
        caption = f"the files of version {' and '.join(versions)}"
        return Table(("flag", "file", "in it"), tuple(rows), caption)


def walk(container: Container) -> Walk:
    """Every folder under the mounted hierarchies that is this running container's own."""
    container.reload()
    pid = int(container.attrs["State"]["Pid"])
    return Walk(container.id, find(container.id, groups.places_of(pid), groups.mounted_here()))


def find(
    container_id: str, places: dict[str, str], mounted: dict[str, tuple[str, str]]
) -> tuple[Home, ...]:
    """The homes among the places of a process; a group that is not the container's is none."""
    shared: dict[str, list[str]] = {}
    for controller in places:
        folder = groups.folder(controller, places, mounted)
        if folder is not None and container_id in folder:
            shared.setdefault(folder, []).append(controller)
    found = []
    for folder, controllers in shared.items():
        point = mounted[controllers[0]][0]
        version = 2 if controllers == [""] else 1
        names = tuple(sorted(name for name in controllers if name))
        found.append(Home(names, version, point, folder.removeprefix(point)))
    return tuple(sorted(found, key=lambda home: (home.version, home.controllers)))


def hierarchies() -> Table:
    """The trees of groups that this machine has mounted, and the controllers in each."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounted = parse_mounts(file.read())
    rows = []
    for mount in sorted(mounted, key=lambda one: (one.version, one.mount_point)):
        controllers = ", ".join(mount.controllers)
        if mount.version == 2:
            with open(f"{mount.mount_point}/cgroup.controllers", encoding="ascii") as file:
                controllers = ", ".join(file.read().split())
        rows.append((str(mount.version), mount.mount_point, controllers or "none"))
    return Table(("version", "mounted at", "controllers"), tuple(rows), layout(rows))


def layout(rows: list[tuple[str, str, str]]) -> str:
    """What such a machine is called."""
    versions = {row[0] for row in rows if row[2] != "none"}
    if versions == {"2"}:
        return "Every controller is in version 2 (unified)."
    if "2" not in {row[0] for row in rows}:
        return "Every controller is in version 1 (legacy)."
    return "Both versions are mounted; each controller is in one of them (hybrid)."


def short(text: str, container_id: str) -> str:
    """The text with the container's id cut to its short form."""
    return text.replace(container_id, f"{container_id[:SHORT]}…")
