"""The cgroup hierarchies of this machine, and labkit's place in them.

v1      /sys/fs/cgroup/<controller>/labkit/<container id>/
v2      /sys/fs/cgroup/labkit/<container id>/
hybrid  each controller where it is mounted: in its own v1 hierarchy, or in the v2 tree
systemd as v2, but below the daemon's own group if its unit has `Delegate=yes`

Without root these are the folders that belong to the user (`labkit.cgroups.given`).
"""

import errno
import os
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from labkit.cgroups import given, groups, v1, v2
from labkit.cgroups.given import User
from labkit.cgroups.hierarchies import Mount, directory_of, own_v2_group, parse_mounts
from labkit.cgroups.limits import Limits
from labkit.cgroups.placement import Hierarchy, Placement, place
from labkit.cgroups.rules import Machine

DEFAULT_PARENT = "labkit"
"""The group of the engine with the usual data root (`labkit.ownership`)."""
Version = Literal["v1", "v2", "hybrid", "none"]

WHAT_IT_LIMITS = {
    "cpu": "--cpu-shares and --cpus",
    "cpuset": "--cpuset-cpus",
    "memory": "--memory, --memory-swap and OOM detection",
    "pids": "--pids-limit",
    "io": "disk limits",
    "blkio": "disk limits",
    "freezer": "pause",
    "cpuacct": "CPU time in stats",
    "devices": "the device allow-list",
}
"""The features that need each controller."""


READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
"""The errors of groups that are mounted read-only, or belong to another user."""


class Usage(NamedTuple):
    """The resources that a container has used; 0 if no controller counts one."""

    cpu_ns: int
    """CPU time of all its processes so far, in nanoseconds."""
    memory_bytes: int
    """Memory it holds now, page cache included."""
    pids: int
    """Processes and threads it has now."""


class Layout:
    """The place of each controller, and the operations on labkit's groups there."""

    def __init__(
        self,
        version: Version,
        hierarchies: dict[str, Hierarchy],
        *,
        parent: str = DEFAULT_PARENT,
        own_directory: str = "",
        machine: Machine | None = None,
        user: User | None = None,
        not_given: tuple[str, ...] = (),
        mount_points: dict[str, str] | None = None,
    ) -> None:
        self.version: Version = version
        self.hierarchies = hierarchies
        self.parent = parent
        self.own_directory = own_directory
        """The v2 folder of this process's group; "" without v2."""
        self.machine = machine or Machine()
        self.user = user
        """The owner of these folders; None for root, which may use all."""
        self.mount_points = mount_points or {}
        """The mount point of each v1 controller: a user's folder is below it."""
        self.not_given = not_given
        """The controllers of this machine in which this user has no folder."""
        self._parents: dict[str, str] = {}
        """The parents of containers whose groups are not in labkit's own group."""

    @property
    def controllers(self) -> tuple[str, ...]:
        """The usable controllers, in no particular order."""
        return tuple(self.hierarchies)

    def prepare(self) -> list[str]:
        """Make labkit's own group in each hierarchy and enable the controllers below it.

        The caller does this before the first container.  Idempotent.  In a delegated v2 subtree it
        moves this process, and all others there, to a leaf.  A controller that does not work is
        taken out of `hierarchies`, and named in the warnings returned.
        """
        warnings = [self.without_groups()] if self.user and self.not_given else []
        try:
            self._leave_inner_group()
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise  # else each controller is tried below, and fails the same way
        for controller, hierarchy in list(self.hierarchies.items()):
            try:
                self._prepare(controller, hierarchy.version, f"{hierarchy.directory}/{self.parent}")
            except OSError as error:
                del self.hierarchies[controller]
                warnings.append(
                    f"cgroup controller {controller} cannot be used in {hierarchy.directory}"
                    f" ({error.strerror}): no {WHAT_IT_LIMITS[controller]}"
                )
        self.machine = _machine(self.hierarchies, self.parent)
        return warnings

    def own_group(self) -> tuple[str, str] | None:
        """Return the v2 folders of this process's group and of labkit's; None without v2.

        The caller runs `prepare` first.
        """
        used = [h.directory for h in self.hierarchies.values() if h.version == v2.VERSION]
        return (self.own_directory, f"{used[0]}/{self.parent}") if used else None

    def without_groups(self) -> str:
        """Name the limits that need a delegated folder, and the command that delegates it."""
        lost = dict.fromkeys(WHAT_IT_LIMITS[controller] for controller in self.not_given)
        uid = self.user.uid if self.user else 0
        return (
            f"no {', '.join(lost)}: {given.user_name(uid)} owns no cgroups for "
            f"{', '.join(self.not_given)}; `{given.command(uid)}` gives them"
        )

    def _prepare(self, controller: str, version: int, directory: str) -> None:
        groups.make(directory)
        if version == v1.VERSION:
            if controller == "cpuset":
                groups.fill_cpuset(directory)
        elif controller not in v2.CORE:
            groups.enable(os.path.dirname(directory), controller)
            groups.enable(directory, controller)

    def put_below(self, container_id: str, parent: str) -> None:
        """Put a container's groups into another group (`--cgroup-parent`), below each top."""
        self._parents[container_id] = parent.strip("/")

    def make_parent(self, container_id: str) -> None:
        """Make the group of `put_below` if it is missing; it stays.  OSError."""
        folders = self._parents.get(container_id, "").split("/")
        for controller, hierarchy in self.hierarchies.items():
            directory = hierarchy.directory
            for folder in filter(None, folders):
                directory = f"{directory}/{folder}"
                self._prepare(controller, hierarchy.version, directory)

    def _leave_inner_group(self) -> None:
        """Move this process, and all others in the group labkit uses, to a leaf (`labkitd`).

        In v2 only leaves have processes ("No Internal Process Constraint").  This must be done
        first: some controllers could be enabled before, and would make every group below unusable
        ("domain invalid").
        """
        base = {h.directory for h in self.hierarchies.values() if h.version == v2.VERSION}
        if self.own_directory in base and not groups.is_root(self.own_directory):
            leaf = f"{self.own_directory}/{self.parent}d"
            groups.make(leaf)
            groups.move_processes(self.own_directory, leaf)
            self.own_directory = leaf

    def place(self, container_id: str, limits: Limits) -> Placement:
        """Return a container's groups, and the values to write there."""
        # A scheduler with weights may be loaded at any time, and has its files only then.
        weighs = limits.blkio_weight or any(limit.kind == "weight" for limit in limits.disks)
        weight_file = self._weight_file() if weighs else ""
        machine = self.machine._replace(weight_file=weight_file)
        return place(self.hierarchies, self._name(container_id), limits, machine)

    def _name(self, container_id: str) -> str:
        """Return a container's folder in each hierarchy; without an id labkit's own."""
        return f"{self._parents.get(container_id, self.parent)}/{container_id}".strip("/")

    def _weight_file(self) -> str:
        """Return the file for a weight on disks; labkit's group has it, the top does not."""
        hierarchy = self.hierarchies.get("blkio") or self.hierarchies.get("io")
        if hierarchy is None:
            return ""
        files = {v1.VERSION: v1.WEIGHT_FILES, v2.VERSION: v2.WEIGHT_FILES}[hierarchy.version]
        group = f"{hierarchy.directory}/{self.parent}"
        return next((file for file in files if os.path.exists(f"{group}/{file}")), "")

    def path(self, container_id: str, controller: str, file: str) -> str:
        """Return the path of one file of a container's group, as `("memory", "memory.max")`.

        KeyError if this machine lacks the controller.
        """
        directory = self.hierarchies[controller].directory
        return f"{directory}/{self._name(container_id)}/{file}"

    def read(self, container_id: str, controller: str, file: str) -> str:
        """Return the text of that file; FileNotFoundError without such a container or file."""
        return groups.read(self.path(container_id, controller, file))

    def usage(self, container_id: str) -> Usage:
        """Return what the container has used; FileNotFoundError if it has no group."""
        for directory in self._directories(container_id):
            os.stat(directory)
        return Usage(
            cpu_ns=self._cpu_ns(container_id),
            memory_bytes=self._number(container_id, "memory", _MEMORY_FILES),
            pids=self._number(container_id, "pids", _PIDS_FILES),
        )

    def remove(self, container_id: str) -> None:
        """Remove the container's groups, and kill the processes in them; idempotent."""
        groups.remove(self._directories(container_id))

    def leftovers(self) -> list[str]:
        """Return the ids that have a group in any hierarchy, known to labkit or not."""
        found: set[str] = set()
        for directory in self._directories():
            try:
                with groups.vanishing(directory), os.scandir(directory) as entries:
                    found.update(entry.name for entry in entries if entry.is_dir())
            except FileNotFoundError:
                continue
        return sorted(found)

    def tear_down(self) -> None:
        """Remove labkit's own groups; OSError (EBUSY) while a container is in them.

        A container has a group in every hierarchy, so then all of them stay.
        """
        for directory in self._directories():
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                continue

    def _directories(self, container_id: str = "") -> list[str]:
        """The container's folders, or labkit's own ones, each once."""
        name = self._name(container_id)
        return list(dict.fromkeys(f"{h.directory}/{name}" for h in self.hierarchies.values()))

    def _cpu_ns(self, container_id: str) -> int:
        if "cpuacct" in self.hierarchies:
            return int(self.read(container_id, "cpuacct", "cpuacct.usage"))
        for controller, hierarchy in self.hierarchies.items():
            if hierarchy.version == v2.VERSION:
                fields = self.read(container_id, controller, "cpu.stat").split()
                return 1000 * int(fields[fields.index("usage_usec") + 1])
        return 0

    def _number(self, container_id: str, controller: str, files: dict[int, str]) -> int:
        hierarchy = self.hierarchies.get(controller)
        try:
            return (
                int(self.read(container_id, controller, files[hierarchy.version]))
                if hierarchy
                else 0
            )
        except FileNotFoundError:
            return 0


_MEMORY_FILES = {v1.VERSION: "memory.usage_in_bytes", v2.VERSION: "memory.current"}
_PIDS_FILES = {v1.VERSION: "pids.current", v2.VERSION: "pids.current"}


def detect(parent: str = DEFAULT_PARENT) -> Layout:
    """Return the layout of this machine; `parent` is the name of the engine's own group."""
    uid = given.limited_uid()
    with open("/proc/self/mountinfo") as mountinfo, open("/proc/self/cgroup") as cgroups:
        layout = from_mountinfo(
            mountinfo.read(),
            cgroups.read(),
            parent=parent,
            controllers_of=lambda directory: groups.read(f"{directory}/cgroup.controllers"),
            is_delegated=groups.is_delegated,
            is_root=groups.is_root,
            user=None if uid is None else User(uid, groups.is_usable),
        )
    layout.machine = _machine(layout.hierarchies, layout.parent)
    return layout


def from_mountinfo(
    mountinfo: str,
    cgroups: str,
    *,
    parent: str = DEFAULT_PARENT,
    controllers_of: Callable[[str], str],
    is_delegated: Callable[[str], bool],
    is_root: Callable[[str], bool],
    user: User | None = None,
) -> Layout:
    """Return the layout that /proc/self/mountinfo and /proc/self/cgroup describe.

    For a v2 folder, `controllers_of` returns the text of `cgroup.controllers`, `is_delegated`
    whether systemd has delegated it, and `is_root` whether it is the top of the whole tree.  With
    a `user`, the layout has only what that user may use.
    """
    mounts = parse_mounts(mountinfo)
    hierarchies = dict(_v1_hierarchies(mounts, user, cgroups))
    unified = next((mount for mount in mounts if mount.version == v2.VERSION), None)
    own = directory_of(unified, own_v2_group(cgroups)) if unified else ""
    if unified:
        base = _base(unified, own, is_delegated, is_root)
        if user:
            subtree = base if base != unified.mount_point else ""
            base = user.base_v2(unified, own, subtree, f"{parent}d")
        available = controllers_of(base or unified.mount_point).split()
        wanted = [name for name in v2.CONTROLLERS if name in available]
        needed = [name for name in wanted if _v1_name(name) not in hierarchies]
        # An empty v2 tree beside v1 (the usual hybrid) is useless to labkit.
        if needed or not hierarchies:
            for name in (*v2.CORE, *needed):
                hierarchies.setdefault(name, Hierarchy(v2.VERSION, base))
    usable = hierarchies if user is None else _given(hierarchies)
    return Layout(
        _version(mounts),
        usable,
        parent=parent,
        own_directory=own,
        user=user,
        mount_points={
            name: mount.mount_point for mount in reversed(mounts) for name in mount.controllers
        },
        not_given=tuple(
            name
            for name, hierarchy in hierarchies.items()
            if name not in usable and name in given.CONTROLLERS[hierarchy.version]
        ),
    )


def _given(hierarchies: dict[str, Hierarchy]) -> dict[str, Hierarchy]:
    """Return those in which the user has a folder, with controllers that a user can use."""
    return {
        name: hierarchy
        for name, hierarchy in hierarchies.items()
        if hierarchy.directory and name in given.CONTROLLERS[hierarchy.version]
    }


def _v1_hierarchies(
    mounts: list[Mount], user: User | None, cgroups: str
) -> Iterator[tuple[str, Hierarchy]]:
    """Yield the first mount of each v1 controller; "" for a folder that is not the user's."""
    seen = set()
    for mount in mounts:
        for controller in mount.controllers:
            if controller not in seen:
                seen.add(controller)
                directory = user.base_v1(mount, cgroups) if user else mount.mount_point
                yield controller, Hierarchy(v1.VERSION, directory)


def _base(
    unified: Mount, own: str, is_delegated: Callable[[str], bool], is_root: Callable[[str], bool]
) -> str:
    """Return the v2 folder for labkit's group: a delegated subtree, or else the top.

    A unit with `Delegate=yes` and `DelegateSubgroup=` (systemd 254) starts the daemon in a leaf of
    its subtree, and containers belong there.  Without the subgroup systemd starts it in the
    subtree's own group, and cannot do that again while containers live there: "Failed to attach
    to cgroup: Device or resource busy", status 219.  Then the top is the better place.
    """
    below = f"{unified.mount_point}/"
    subtree = os.path.dirname(own)
    if subtree.startswith(below) and is_delegated(subtree):
        return subtree
    if own.startswith(below) and is_delegated(own) and not is_root(unified.mount_point):
        return own
    return unified.mount_point


def _v1_name(controller: str) -> str:
    return "blkio" if controller == "io" else controller


def _version(mounts: list[Mount]) -> Version:
    versions = {mount.version for mount in mounts}
    if versions == {v1.VERSION, v2.VERSION}:
        return "hybrid"
    if not versions:
        return "none"
    return "v1" if v1.VERSION in versions else "v2"


def _machine(hierarchies: dict[str, Hierarchy], parent: str) -> Machine:
    """Return the facts of this machine that v1 cpusets and swap limits depend on."""
    machine = Machine()
    cpuset, memory = hierarchies.get("cpuset"), hierarchies.get("memory")
    if cpuset and cpuset.version == v1.VERSION:
        machine = machine._replace(
            cpus=groups.read(f"{cpuset.directory}/cpuset.cpus"),
            mems=groups.read(f"{cpuset.directory}/cpuset.mems"),
        )
    if memory:
        machine = machine._replace(swap_accounting=_counts_swap(memory, parent))
    return machine


def _counts_swap(memory: Hierarchy, parent: str) -> bool:
    """Whether swap can be limited; on v2 labkit's group has that file, the top does not."""
    if memory.version == v1.VERSION:
        return os.path.exists(f"{memory.directory}/memory.memsw.limit_in_bytes")
    group = f"{memory.directory}/{parent}"
    return not os.path.exists(f"{group}/memory.max") or os.path.exists(f"{group}/memory.swap.max")
