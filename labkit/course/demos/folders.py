"""Demo 10: the folders of control groups, which come and go with containers, and their files."""

import os
from typing import NamedTuple

from labkit.client.containers import Container
from labkit.course.cgroups.groups import Place, place_of
from labkit.course.demos.canvas import CALM, CRIMSON, NAVY, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Press, Slide
from labkit.course.demos.demo import Demo
from labkit.course.limits.cpu_files import CpuFiles
from labkit.errors import LabkitError, NotFoundError

MOST = 2
MIB = 1 << 20
FILES = {
    ("cpu", 1): ("cpu.shares",),
    ("cpu", 2): ("cpu.weight",),
    ("memory", 1): ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ("memory", 2): ("memory.max", "memory.current"),
}
"""The files of a controller's folder that are shown, by version."""
MEMORY_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}


class Folder(NamedTuple):
    """A folder of the tree with the files that are shown of it."""

    place: Place
    files: tuple[str, ...]


class FoldersDemo(Demo):
    """A tree of folders that follows; the sliders write into the newest container's files."""

    number = "10"
    title = "A limit is a file"
    say = (
        "docker run makes a folder named by the container's id; a flag is a number in a file there."
    )
    surprise = (
        "docker update writes the file, and that is all: no program hears of it, only the kernel."
    )
    controls = (
        Press("run", "docker run -c 512 -m 64m"),
        Slide("shares", "write the CPU weight as -c …", 64, 2048, 64, 512),
        Slide("memory", "write the memory limit (MiB)", 8, 256, 8, 64),
        Press("rm", "docker rm -f the newest"),
    )
    every_s = 1.0

    def begin(self) -> None:
        """One container is there."""
        self._boxes: list[Container] = []
        self._written = ""
        self._run_one()

    def act(self, key: str) -> None:
        """Make or remove a container, or write a file of the newest."""
        if key == "run":
            if len(self._boxes) == MOST:
                raise LabkitError(f"{MOST} fit the picture: press docker rm first")
            self._run_one()
            return
        if not self._boxes:
            raise NotFoundError("there is no container: press docker run first")
        if key == "rm":
            self._boxes.pop().remove(force=True)
            self._written = ""
            return
        pid = _pid(self._boxes[-1])
        if key == "shares":
            files = CpuFiles.of_process(pid)
            number = files.write_shares(int(self.values[key]))
            path = files.weight
        else:
            place = place_of(pid, "memory")
            path, number = f"{place.folder}/{MEMORY_LIMIT[place.version]}", self._limit_bytes
            with open(path, "w", encoding="ascii") as file:
                file.write(str(number))
        self._written = f"echo {number} > {os.path.basename(path)}"

    @property
    def _limit_bytes(self) -> int:
        return int(self.values["memory"]) * MIB

    def draw(self) -> Canvas:
        """A row for each folder on the way, indented, and the files at its end."""
        canvas = Canvas(f"The control groups of {len(self._boxes)} containers. {self._written}")
        y = 26.0
        shown: set[str] = set()
        ways = [(folder, box.id) for box in self._boxes for folder in _folders(box)]
        for folder, box_id in sorted(ways, key=lambda way: os.path.dirname(way[0].place.folder)):
            y = self._draw_way(canvas, folder, box_id, y, shown)
        if not self._boxes:
            canvas.words((10, y), "no container, no folder: the kernel removed it with rmdir")
        canvas.words((10, 508), self._written or "move a slider: it writes", code=True, ink=CRIMSON)
        return canvas

    def _draw_way(
        self, canvas: Canvas, folder: Folder, box_id: str, y: float, shown: set[str]
    ) -> float:
        above = os.path.dirname(folder.place.folder)
        if above not in shown:
            shown.add(above)
            canvas.words((10, y), above, ink=QUIET, code=True, width=880)
            y += 32
        canvas.words((40, y), f"└ {box_id[:12]}…", ink=NAVY, bold=True, code=True)
        y += 8
        for name in folder.files:
            is_new = f"> {name}" in self._written and box_id == self._boxes[-1].id
            face, edge = (CALM, CRIMSON) if is_new else (CALM, TEAL)
            canvas.box((90, y), (800, 34), face=face, edge=edge, thick=3 if is_new else 1.5)
            canvas.words((104, y + 25), name, code=True)
            canvas.words((876, y + 25), folder.place.read(name), anchor="end", code=True, bold=True)
            y += 38
        return y + 26

    def _run_one(self) -> None:
        box = self.crew.hire_plain(
            "folder", ["sleep", "3600"], cpu_shares=512, mem_limit=64 * MIB, memswap_limit=-1
        )
        box.reload()
        self._boxes.append(box)


def _pid(box: Container) -> int:
    return int(box.attrs["State"]["Pid"])


def _folders(box: Container) -> list[Folder]:
    """The container's folders for CPU and memory: two in version 1, one in version 2."""
    found: dict[str, Folder] = {}
    for controller in ("cpu", "memory"):
        place = place_of(_pid(box), controller)
        files = FILES[controller, place.version]
        before = found.get(place.folder)
        found[place.folder] = Folder(place, (*before.files, *files) if before else files)
    return list(found.values())
