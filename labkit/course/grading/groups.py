"""The control groups of a submission.

    <controller>/labkit-grade-<key>        root's: the limits of everything in the submission
    <controller>/labkit-grade-<key>/box    the submission's: its engine makes groups in here

`labkit` stands for the name of this machine's engine (`labkit.ownership`), so that two graders on
one machine have different groups.

The submission's root owns `box`, not the folder above it, so it cannot lift its own limits
(cgroups(7), "Cgroups delegation").  The v1 controller `devices` is not given to it.
"""

import os
from contextlib import suppress

from labkit.cgroups import delegation, groups, v1, v2
from labkit.cgroups.hierarchies import Mount, parse_mounts
from labkit.course.cgroups.groups import places_of
from labkit.course.grading.limits import Limits
from labkit.ownership import cgroup_parent
from labkit.paths import Paths

BOX = "box"
PERIOD_US = 100_000


def name_of(key: str) -> str:
    """Return the name of a submission's groups and of its folder."""
    return f"{cgroup_parent(Paths.from_environment().root)}-grade-{key}"


class Groups:
    """The groups of the submission called `key`."""

    def __init__(self, key: str) -> None:
        self.name = name_of(key)
        with open("/proc/self/mountinfo") as file:
            mounts = parse_mounts(file.read())
        self._mounts = [
            mount
            for mount in mounts
            if mount.version == v2.VERSION
            or (mount.controllers and "devices" not in mount.controllers)
        ]

    def make(self, uid: int, limits: Limits) -> None:
        """Make the groups, with the limits; `box` belongs to `uid`.  OSError."""
        for mount in self._mounts:
            folder = self._folder(mount)
            _enable(mount.mount_point, mount)
            groups.make(folder)
            if "cpuset" in mount.controllers:
                groups.fill_cpuset(folder)
            _limit(folder, mount.version, limits)
            _enable(folder, mount)
            box = f"{folder}/{BOX}"
            groups.make(box)
            if "cpuset" in mount.controllers:
                groups.fill_cpuset(box)
            for path in (box, *(f"{box}/{name}" for name in delegation.FILES[mount.version])):
                os.chown(path, uid, uid)

    def join(self, pid: int) -> None:
        """Put a process into the box of each hierarchy."""
        for mount in self._mounts:
            groups.write(f"{self._folder(mount)}/{BOX}/cgroup.procs", str(pid))

    def bring_back(self, pid: int) -> None:
        """Put a process from a group below `box` back into it, or thaw that group.

        A v2 group whose controllers are given to those below it takes no process (EBUSY).
        """
        for mount in self._mounts:
            with suppress(OSError):
                groups.write(f"{self._folder(mount)}/{BOX}/cgroup.procs", str(pid))
                continue
            with suppress(OSError):
                inside = places_of(pid)[""].lstrip("/")
                while f"/{self.name}/" in f"/{inside}":
                    groups.write(f"{mount.mount_point}/{inside}/cgroup.freeze", "0")
                    inside = os.path.dirname(inside)

    def remove(self) -> None:
        """Kill all that is in the groups, and remove them; idempotent."""
        groups.remove(self._folder(mount) for mount in self._mounts)

    def used_s(self) -> float:
        """Return the seconds of processors that all of the submission has used; 0.0 if unknown."""
        for mount in self._mounts:
            with suppress(OSError):
                if "cpuacct" in mount.controllers:
                    return int(groups.read(f"{self._folder(mount)}/cpuacct.usage")) / 1e9
                if mount.version == v2.VERSION:
                    words = groups.read(f"{self._folder(mount)}/cpu.stat").split()
                    return int(words[words.index("usage_usec") + 1]) / 1e6
        return 0.0

    def has_memory_kill(self) -> bool:
        """Whether the kernel has ended a process because the submission's memory was used up."""
        return self._counts("memory.events.local", "oom") or self._counts(
            "memory.oom_control", "oom_kill"
        )

    def has_refused_fork(self) -> bool:
        """Whether the kernel has refused a process because of the submission's own limit."""
        return self._counts("pids.events.local", "max") or self._counts("pids.events", "max")

    def _counts(self, name: str, word: str) -> bool:
        """Whether a counter of the submission's groups is above 0.

        The files that end in `local` do not count what happened at a container's own limit.
        """
        for mount in self._mounts:
            for folder in (self._folder(mount), f"{self._folder(mount)}/{BOX}"):
                is_local = os.path.exists(f"{folder}/{name}.local")
                with suppress(OSError):
                    words = [] if is_local else groups.read(f"{folder}/{name}").split()
                    if word in words and words[words.index(word) + 1] != "0":
                        return True
        return False

    def _folder(self, mount: Mount) -> str:
        return f"{mount.mount_point}/{self.name}"


def _enable(folder: str, mount: Mount) -> None:
    """Let the groups below a v2 folder use what there is; a kernel may refuse some of it."""
    if mount.version == v1.VERSION:
        return
    for controller in groups.read(f"{folder}/cgroup.controllers").split():
        with suppress(OSError):
            groups.enable(folder, controller)


def _limit(folder: str, version: int, limits: Limits) -> None:
    quota = round(limits.cpus * PERIOD_US)
    files = {
        v1.VERSION: {
            "memory.limit_in_bytes": str(limits.memory_bytes),
            "memory.memsw.limit_in_bytes": str(limits.memory_bytes),
            "pids.max": str(limits.pids),
            "cpu.cfs_quota_us": str(quota),
        },
        v2.VERSION: {
            "memory.max": str(limits.memory_bytes),
            "memory.swap.max": "0",
            "pids.max": str(limits.pids),
            "cpu.max": f"{quota} {PERIOD_US}",
        },
    }
    for name, text in files[version].items():
        if os.path.exists(f"{folder}/{name}"):
            groups.write(f"{folder}/{name}", text)
