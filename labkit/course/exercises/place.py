"""The place of an exercise, as its judge sees it: the engine, the kernel, the learner's files.

The same judge runs at the learner's `check()`, in the lab itself, and at the grader's, beside a
throw-away engine.  In both the process numbers that the engine gives are those in this process's
/proc; only the learner's files may be elsewhere.
"""

import os
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from labkit.client import Client
from labkit.course.cgroups import groups
from labkit.course.exercises import processes
from labkit.course.exercises.finding import MachineFaultError
from labkit.errors import LabkitError, NotFoundError

ResultT = TypeVar("ResultT")


class Seen:
    """A container: the engine's record of it, and the kernel's facts about its first process."""

    def __init__(self, attrs: dict[str, Any]) -> None:
        self.attrs = attrs
        self.id = str(attrs["Id"])
        self.name = str(attrs["Name"]).removeprefix("/")
        self.status = str(attrs["State"]["Status"])
        self.pid = int(attrs["State"]["Pid"])

    @property
    def is_alive(self) -> bool:
        """Whether its first process lives, as the kernel sees it."""
        return self.pid > 0 and os.path.exists(f"/proc/{self.pid}/ns/pid")

    @property
    def began(self) -> int:
        """When its first process started, in ticks: it and the pid name the process for good."""
        return processes.start_time(self.pid)

    def namespace(self, kind: str) -> int:
        """The inode of one of its namespaces (`pid`, `net`, …); 0 if it does not run."""
        return processes.namespace(self.pid, kind)

    def read(self, controller: str, version_1: str, version_2: str) -> str:
        """The text of a file of its group; "" if there is no such file.

        `controller` is version 1's name; the two files are those of version 1 and 2.
        """
        try:
            place = groups.place_of(self.pid, controller)
            return place.read({1: version_1, 2: version_2}[place.version])
        except (OSError, LabkitError, ValueError):
            return ""

    def version(self, controller: str) -> int:
        """The version of control groups that has a controller here; 0 if it does not run."""
        try:
            return groups.place_of(self.pid, controller).version
        except LabkitError:
            return 0


class Place:
    """`kernel_pid` is the learner's kernel; `root` is where the learner's `/` is seen from here.

    `folder` is the learner's folder as the learner sees it, `disk` the device for disk limits.
    `groups_below` is the control group that all the learner's groups are in.
    With `uid` the learner's files are touched as that user only.
    """

    def __init__(
        self,
        client: Client,
        *,
        folder: str,
        kernel_pid: int = 0,
        root: str = "/",
        uid: int = 0,
        disk: str = "",
        groups_below: str = "",
    ) -> None:
        self.client = client
        self.folder = folder
        self.kernel_pid = kernel_pid or os.getpid()
        self.root = root
        self.uid = uid
        self.disk = disk
        self._groups_below = groups_below

    @property
    def device_number(self) -> str:
        """The disk's device as the files of limits name it: `7:0`."""

        def look() -> str:
            number = os.stat(self.disk).st_rdev
            return f"{os.major(number)}:{os.minor(number)}"

        return self.among_files(look)

    def group_roots(self) -> list[str]:
        """The folders below which the learner's control groups are, one in each hierarchy."""
        points = {point for point, _ in groups.mounted_here().values()}
        return sorted(f"{point}/{self._groups_below}".rstrip("/") for point in points)

    # The engine

    def container(self, name: str) -> Seen | None:
        """The container with this name, or None."""
        try:
            return Seen(self.client.containers.get(name).attrs)
        except NotFoundError:
            return None

    def image(self, name: str) -> dict[str, Any] | None:
        """The engine's record of an image, or None."""
        try:
            return self.client.images.get(name).attrs
        except NotFoundError:
            return None

    def network(self, name: str) -> dict[str, Any] | None:
        """The engine's record of a network, or None."""
        try:
            return dict(self.client.api.get(f"/networks/{name}"))
        except NotFoundError:
            return None

    # The kernel

    def namespace(self, kind: str) -> int:
        """The inode of a namespace of the learner's kernel: the host's, for the learner."""
        return processes.namespace(self.kernel_pid, kind)

    def outside(self, uid: int) -> int:
        """The number that this process sees for a user that the learner calls `uid`."""
        with open(f"/proc/{self.kernel_pid}/uid_map") as file:
            for line in file:
                inside, first, count = map(int, line.split())
                if inside <= uid < inside + count:
                    return first + uid - inside
        raise MachineFaultError(f"user {uid} does not exist in this lab")

    def started(self, *words: str) -> list[int]:
        """The processes with exactly these words, as numbers, except the learner's kernel."""
        return processes.with_words(words)

    # The learner's files

    def path(self, name: str) -> str:
        """A file of the learner's folder, as the learner names it."""
        return f"{self.folder}/{name}"

    def among_files(self, look: Callable[[], ResultT]) -> ResultT:
        """Call `look` where the learner's files are, and return its result: JSON.  OSError.

        It is called in a process whose root is the learner's: no link there leads elsewhere.
        """
        if self.root == "/" and not self.uid:
            return look()
        return _elsewhere(self.root, self.uid, look)

    def read_file(self, name: str, most: int = 1 << 20) -> bytes | None:
        """The first bytes of a file of the learner's folder; None if there is no such file."""

        def look() -> str | None:
            try:
                with open(os.open(self.path(name), os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                    return file.read(most).hex()
            except OSError:
                return None

        found = self.among_files(look)
        return None if found is None else bytes.fromhex(found)


def _elsewhere(root: str, uid: int, look: Callable[[], ResultT]) -> ResultT:
    def enter() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    return processes.in_child(enter, look)


def numbers(text: str) -> Iterator[tuple[str, int]]:
    """`name number` lines, as in cpu.stat and memory.stat."""
    for name, number in re.findall(r"^(\S+) (\d+)$", text, re.MULTILINE):
        yield name, int(number)
