"""A tour of /sys/fs/cgroup: a container's folders, and the values its flags have written there.

The kernel names the folders (`groups` beside this file).  The engine's own tables say which flag
writes which file (`labkit.cgroups.v1`, `labkit.cgroups.v2`).
"""

import os
from typing import Any, NamedTuple

from labkit.cgroups import v1, v2
from labkit.cgroups.hierarchies import parse_mounts
from labkit.client.containers import Container
from labkit.course.cgroups import groups
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table

SHORT = 12
EVERY_CONTROLLER = "all controllers"


class Home(NamedTuple):
    """One folder of a container, in the hierarchy of these controllers."""

    controllers: tuple[str, ...]
    version: int
    point: str
    """The mount point of the hierarchy."""
    path: str
    """The container's group below the mount point; its last part contains the container's id."""

    @property
    def folder(self) -> str:
        """The full path."""
        return f"{self.point}{self.path}"

    @property
    def name(self) -> str:
        """The names of the controllers, for people."""
        return ", ".join(self.controllers) or EVERY_CONTROLLER


class Walk(NamedTuple):
    """The folders of one container, sorted by the names of their hierarchies."""

    container_id: str
    homes: tuple[Home, ...]

    def table(self) -> Table:
        """A row for each folder."""
        rows = [
            (home.name, str(home.version), short(home.folder, self.container_id))
            for home in self.homes
        ]
        return Table(("controllers", "version", "folder"), tuple(rows))

    def written(self, *flags: str) -> Table:
        """The files that each of these flags of `docker run` writes, with their contents."""
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
    """Every folder in the mounted hierarchies that belongs to this running container."""
    container.reload()
    pid = int(container.attrs["State"]["Pid"])
    return Walk(container.id, find(container.id, groups.places_of(pid), groups.mounted_here()))


def find(
    container_id: str, places: dict[str, str], mounted: dict[str, tuple[str, str]]
) -> tuple[Home, ...]:
    """The container's groups among the groups of a process; other groups are skipped."""
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
    """The hierarchies that this machine has mounted, and the controllers in each."""
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
    """The name for such a machine: unified, legacy or hybrid."""
    versions = {row[0] for row in rows if row[2] != "none"}
    if versions == {"2"}:
        return "Every controller is in version 2 (unified)."
    if "2" not in {row[0] for row in rows}:
        return "Every controller is in version 1 (legacy)."
    return "Both versions are mounted; each controller is in one of them (hybrid)."


def short(text: str, container_id: str) -> str:
    """The text with the container's id cut to its short form."""
    return text.replace(container_id, f"{container_id[:SHORT]}…")


# The picture of a `Walk`: each hierarchy as a branch that ends at the container.


TONES = (style.PALE, style.PALE, style.colour(2))
"""The colours of the mount point, of the engine's group, and of the container's."""
BEGINS, WIDTH = (0.0, 3.2, 5.6), (2.9, 2.1, 2.1)
"""The left edges and the widths of the columns."""


def plot_walk(result: Walk) -> Figure:
    """Draw a row for each hierarchy: the mount point, the engine's group, the container's."""
    rows = len(result.homes)
    with style.picture(height_in=0.9 + 0.42 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 7.8), ylim=(rows - 0.1, -0.75))
        axes.set_axis_off()
        for begin, title in zip(BEGINS, ("mounted at", "the engine", "the container"), strict=True):
            axes.text(begin, -0.45, title, fontweight="bold", va="center")
        for row, home in enumerate(result.homes):
            _draw(axes, row, parts(home, result.container_id))
        one = "one folder" if rows == 1 else f"{rows} folders, one in each tree"
        style.headline(drawing, f"The container's place: {one}")
    return Figure(drawing, alt=_alt(result), table=result.table())


def parts(home: Home, container_id: str) -> tuple[str, str, str]:
    """The mount point, the groups between, and the container's group with its id cut short."""
    between, _, last = home.path.rpartition("/")
    return home.point, between.strip("/"), last.replace(container_id, f"{container_id[:SHORT]}…")


def _draw(axes: Any, row: int, texts: tuple[str, str, str]) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 only drawing needs it

    for column, text in enumerate(texts):
        axes.add_patch(
            Rectangle((BEGINS[column], row), WIDTH[column], 0.72, facecolor=TONES[column])
        )
        shown = text if len(text) <= 2 * SHORT else f"{text[: 2 * SHORT - 1]}…"
        axes.text(
            BEGINS[column] + 0.1,
            row + 0.36,
            shown,
            va="center",
            family="monospace",
            fontsize=8,
            color="white" if column == len(texts) - 1 else style.INK,
        )
        if column:
            end = BEGINS[column - 1] + WIDTH[column - 1]
            axes.plot([end, BEGINS[column]], [row + 0.36] * 2, color=style.QUIET, linewidth=1.2)


def _alt(result: Walk) -> str:
    each = "; ".join(
        f"{home.name}: {'/'.join(parts(home, result.container_id))}" for home in result.homes
    )
    return f"Trees of control groups, with the container's folder at the end of each. {each}."
