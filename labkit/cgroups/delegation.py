"""Delegation of a subtree in each hierarchy to a user, so that labkit can limit without root.

v1  `<controller>/labkit.user-<uid>`: the folder, `cgroup.procs` and `tasks` become the user's
v2  `labkit.user-<uid>`: the folder, `cgroup.procs`, `cgroup.threads` and `cgroup.subtree_control`

Root keeps the files of limits in that folder: root's values there limit all the user's containers
together (cgroups(7), "Cgroups delegation").  The v1 controller `devices` is never delegated: a user
could leave the group that keeps it from a device.
"""

import os
import pwd
from contextlib import suppress

from labkit.cgroups import given, groups, v1, v2
from labkit.cgroups.hierarchies import Mount, parse_mounts
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError
from labkit.kernel import power

FILES = {
    v1.VERSION: ("cgroup.procs", "tasks"),
    v2.VERSION: ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"),
}
"""The files that the user gets besides the folder, by version."""
LARGEST_UID = 2**32 - 1
"""The number that means no user in chown(2)."""
LEAF = "session"
"""The v2 group of the user's processes: containers are beside it, never below a process."""


def find_uid(name: str) -> int:
    """Return the id of the user with this name or number; NotFoundError, InvalidParameterError.

    A number need not have a name, as in a container that runs as any number.
    """
    if name.isdecimal() and int(name) < LARGEST_UID:
        uid = int(name)
    else:
        try:
            uid = pwd.getpwnam(name).pw_uid
        except KeyError:
            raise NotFoundError(f"this machine has no user {name!r}") from None
    if uid == 0:
        raise InvalidParameterError("root has all groups already: name an ordinary user")
    return uid


def delegate(uid: int) -> list[str]:
    """Give the user a subtree in each hierarchy, and return the changes as text; idempotent.

    ConflictError if a folder with that name belongs to another user; OSError.
    """
    _require_root()
    mounts = _mounts()
    folders = {f"{mount.mount_point}/{given.PREFIX}{uid}": mount for mount in mounts}
    for folder in folders:
        if os.path.isdir(folder) and os.stat(folder).st_uid not in (0, uid):
            raise ConflictError(f"{folder} belongs to another user: remove it first")
    done = []
    for folder, mount in folders.items():
        is_new = not os.path.isdir(folder)
        groups.make(folder)
        missing = _prepare(mount, folder, uid)
        _give(folder, mount.version, uid)
        without = f", without {', '.join(missing)}: the kernel refused" if missing else ""
        moved = ", with the user's running processes" if mount.version == v2.VERSION else ""
        done.append(f"{'gave' if is_new else 'kept'} {folder}{moved}{without}")
    return done


def take_back(uid: int) -> list[str]:
    """Remove the user's subtrees, and return the changes; ConflictError if one is in use."""
    _require_root()
    named = [f"{mount.mount_point}/{given.PREFIX}{uid}" for mount in _mounts()]
    folders = [folder for folder in named if os.path.isdir(folder)]
    for folder in folders:
        if pids := _pids(folder):
            raise ConflictError(
                f"{folder} is in use by processes {', '.join(pids[:5])}: "
                f"stop the containers of {given.user_name(uid)}, and try again"
            )
    for folder in folders:
        if os.path.isdir(f"{folder}/{LEAF}"):
            groups.move_processes(f"{folder}/{LEAF}", os.path.dirname(folder))
        groups.remove([folder])
    return [f"removed {folder}" for folder in folders]


def _require_root() -> None:
    if not power.has_admin() or power.IS_LIMITED:
        raise InvalidParameterError("only root can give groups to a user: use sudo")


def _mounts() -> list[Mount]:
    """Return the hierarchies with a controller for users, and without `devices`."""
    with open("/proc/self/mountinfo") as file:
        mounts = parse_mounts(file.read())
    found: dict[tuple[str, ...], Mount] = {}
    for mount in mounts:
        controllers = _controllers(mount)
        if controllers and "devices" not in controllers:
            found.setdefault(controllers, mount)
    return list(found.values())


def _controllers(mount: Mount) -> tuple[str, ...]:
    if mount.version == v1.VERSION:
        return mount.controllers
    available = groups.read(f"{mount.mount_point}/cgroup.controllers").split()
    return tuple(name for name in v2.CONTROLLERS if name in available)


def _prepare(mount: Mount, folder: str, uid: int) -> list[str]:
    """Prepare a folder for groups below it; return the controllers that v2 did not enable."""
    if mount.version == v1.VERSION:
        if "cpuset" in mount.controllers:
            groups.fill_cpuset(folder)
        return []
    missing = []
    for controller in _controllers(mount):
        try:
            groups.enable(mount.mount_point, controller)
        except OSError:
            missing.append(controller)
    leaf = f"{folder}/{LEAF}"
    groups.make(leaf)
    os.chown(leaf, uid, -1)
    _bring_processes(mount.mount_point, folder, leaf, uid)
    return missing


def _bring_processes(top: str, folder: str, leaf: str, uid: int) -> None:
    """Move the user's processes below `folder`: outside of it they could start no container there.

    A process that is inside already stays in its group.
    """
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        # A process may end at any moment, and one of a real-time class cannot be moved.
        with suppress(OSError):
            if os.stat(f"/proc/{pid}").st_uid == uid and not _is_below(pid, folder, top):
                groups.write(f"{leaf}/cgroup.procs", pid)


def _is_below(pid: str, folder: str, top: str) -> bool:
    group = folder.removeprefix(top)
    with open(f"/proc/{pid}/cgroup") as file:
        return any(line.startswith(f"0::{group}/") for line in file)


def _give(folder: str, version: int, uid: int) -> None:
    leaf = f"{folder}/{LEAF}"
    for place in (folder, *([leaf] if version == v2.VERSION else [])):
        os.chown(place, uid, -1)
        for name in FILES[version]:
            os.chown(f"{place}/{name}", uid, -1)


def _pids(folder: str) -> list[str]:
    """Return the processes of containers: all except those of v2 in the leaf."""
    found: list[str] = []
    for place, _, _ in os.walk(folder):
        if place != f"{folder}/{LEAF}":
            found += groups.read(f"{place}/cgroup.procs").split()
    return found
