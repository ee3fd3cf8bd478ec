"""Which cgroup hierarchies this machine has, read from two files of /proc; nothing else is opened.

A line of /proc/self/mountinfo (proc_pid_mountinfo(5)):

    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
             root mount point                     type          controllers (v1 only)

A line of /proc/self/cgroup (cgroups(7)); hierarchy 0 is v2:

    0::/system.slice/labkitd.service
"""

from typing import NamedTuple

from labkit.cgroups import v1


class Mount(NamedTuple):
    """One mounted hierarchy."""

    version: int
    mount_point: str
    root: str
    """The group that is seen at the mount point; `/` unless only a part is mounted."""
    controllers: tuple[str, ...]
    """v1: the controllers of this hierarchy.  v2: (), its files say which ones it has."""


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The cgroup file systems among the mounts of /proc/self/mountinfo."""
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(" "), after.split(" ", 2)
        root, mount_point = _unescape(fields[3]), _unescape(fields[4])
        if kind == "cgroup2":
            mounts.append(Mount(2, mount_point, root, ()))
        elif kind == "cgroup":
            words = options.split(",")
            known = tuple(word for word in words if word in v1.CONTROLLERS)
            mounts.append(Mount(1, mount_point, root, known))
    return mounts


def own_v2_group(cgroups: str) -> str:
    """The v2 group this process is in, out of /proc/self/cgroup; "" where there is none."""
    return next((line[3:] for line in cgroups.splitlines() if line.startswith("0::")), "")


def directory_of(mount: Mount, group: str) -> str:
    """The folder of `group` under a mount; "" when the mount does not show that group."""
    root = mount.root.rstrip("/")
    if group.startswith("/..") or not f"{group}/".startswith(f"{root}/"):
        return ""
    return mount.mount_point + group.removeprefix(root).rstrip("/")


def _unescape(path: str) -> str:
    """mountinfo writes a space as \\040, and so on."""
    head, *rest = path.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
