"""The cgroup hierarchies of this machine, read from two files of /proc; nothing else is opened.

A line of /proc/self/mountinfo (proc_pid_mountinfo(5)):

    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
             root mount point                     type          controllers (v1 only)

A line of /proc/self/cgroup (cgroups(7)); hierarchy 0 is v2:

    0::/system.slice/labkitd.service
"""

from typing import NamedTuple

from labkit.cgroups import v1, v2
from labkit.kernel.mounts import parse_mountinfo

_VERSIONS = {"cgroup": v1.VERSION, "cgroup2": v2.VERSION}
"""The version by the name of the file system."""


class Mount(NamedTuple):
    """One mounted hierarchy."""

    version: int
    mount_point: str
    root: str
    """The group that the mount point shows; `/` unless only a part is mounted."""
    controllers: tuple[str, ...]
    """v1: the controllers of this hierarchy.  v2: (), for its files list them."""


def parse_mounts(mountinfo: str) -> list[Mount]:
    """Return the visible cgroup file systems among the mounts of /proc/self/mountinfo."""
    topmost = {mount.target: mount for mount in parse_mountinfo(mountinfo)}
    return [
        Mount(
            version=_VERSIONS[mount.kind],
            mount_point=mount.target,
            root=mount.root,
            controllers=tuple(word for word in mount.super_options if word in v1.CONTROLLERS),
        )
        for mount in topmost.values()
        if mount.kind in _VERSIONS
    ]


def own_v2_group(cgroups: str) -> str:
    """Return this process's v2 group from /proc/self/cgroup; "" if there is none."""
    return next((line[3:] for line in cgroups.splitlines() if line.startswith("0::")), "")


def own_group(cgroups: str, controllers: tuple[str, ...]) -> str:
    """Return this process's group in the v1 hierarchy of these controllers; "" without one."""
    for line in cgroups.splitlines():
        _, names, group = line.split(":", 2)
        if set(controllers) & set(names.split(",")):
            return group
    return ""


def directory_of(mount: Mount, group: str) -> str:
    """Return the folder of `group` under a mount; "" if the mount does not show that group."""
    root = mount.root.rstrip("/")
    if group.startswith("/..") or not f"{group}/".startswith(f"{root}/"):
        return ""
    return mount.mount_point + group.removeprefix(root).rstrip("/")
