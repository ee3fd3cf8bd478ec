"""The facts that a judge reads from the kernel about a process: never a program's output."""

import json
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from labkit.kernel import mounts, namespaces
from labkit.kernel.network import links
from labkit.kernel.network.netlink import RouteSocket

KINDS = ("mnt", "pid", "uts", "ipc", "net", "cgroup", "user")
"""The namespaces that a container has or shares."""


def namespace(pid: int | str, kind: str) -> str:
    """The name of a process's namespace (`uts:[4026531838]`); empty if the process has ended."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def own(pid: int, kind: str) -> str:
    """Whether a process has its own namespace, in words."""
    return "the host's" if namespace(pid, kind) == namespace("self", kind) else "its own"


def status(pid: int, field: str) -> str:
    """A field of /proc/<pid>/status (proc_pid_status(5)); empty if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
    lines = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    return lines.get(field, "").strip()


def group_of(pid: int, controller: str) -> Path:
    """The folder of a process's group: of version 1 if it has the controller, else version 2."""
    with open("/proc/self/mountinfo") as file:
        table = mounts.parse_mountinfo(file.read())
    found = Path("/nowhere")
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        kind = "cgroup" if names else "cgroup2"
        for mount in table:
            of_it = controller in mount.super_options if names else found == Path("/nowhere")
            if mount.kind == kind and controller in (names.split(",") if names else [controller]):
                found = Path(f"{mount.target}{path}") if of_it else found
    return found


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    return _has_signal(pid, "SigCgt", number)


def ignores(pid: int, number: int) -> bool:
    """Whether a process ignores a signal."""
    return _has_signal(pid, "SigIgn", number)


def _has_signal(pid: int, field: str, number: int) -> bool:
    return bool(int(status(pid, field) or "0", 16) >> (number - 1) & 1)


def variables(pid: int) -> dict[str, str]:
    """The variables that a process was started with (proc_pid_environ(5))."""
    try:
        words = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return {}
    return {
        name: value for name, is_one, value in (word.partition("=") for word in words) if is_one
    }


def parents(pid: int, last: int) -> list[int]:
    """The processes above `pid`, its parent first, up to `last` or the judge."""
    found = []
    while pid not in (0, last, os.getpid()):
        pid = int(status(pid, "PPid") or 0)
        found.append(pid)
    return [one for one in found if one not in (0, os.getpid())]


def those_inside(pid: int) -> list[int]:
    """The processes in the same PID namespace as `pid`, also those that have ended."""
    same = namespace(pid, "pid")
    every = (int(name) for name in os.listdir("/proc") if name.isdigit())
    if same == namespace("self", "pid"):
        return [pid]
    return [one for one in every if namespace(one, "pid") == same]


def first_of(pid: int) -> int:
    """Process 1 of the PID namespace that `pid` is in; 0 if that is the judge's."""
    inside = those_inside(pid)
    return next((one for one in inside if status(one, "NSpid").split()[-1:] == ["1"]), 0)


def descriptors(pid: int) -> list[int]:
    """The numbers of a process's open files."""
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/fd")))
    except OSError:
        return []


def inside(pid: int, kinds: tuple[str, ...], look: Callable[[], Any]) -> Any:
    """Return the result of `look` in namespaces of a process, which a copy of the judge enters.

    In a mount namespace it is at the namespace's own root, whichever root the process has:
    chroot(2) changes that of a process, pivot_root(2) that of the namespace.
    """
    reader, writer = os.pipe()
    doors = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]
    copy = os.fork()
    if copy == 0:
        answer: Any = None
        try:
            for door in doors:
                namespaces.setns(door)
            answer = look()
        finally:
            os.write(writer, json.dumps(answer).encode())
            os._exit(0)
    os.close(writer)
    for door in doors:
        os.close(door)
    with open(reader, encoding="utf-8") as stream:
        answer = stream.read()
    os.waitpid(copy, 0)
    return json.loads(answer)


def mount_table(pid: int) -> list[mounts.MountPoint]:
    """All mounts of a process's mount namespace, seen from the namespace's own root.

    The judge keeps its own /proc open, because the namespace may have none.
    """
    proc = os.open("/proc", os.O_PATH)

    def look() -> str:
        # The kernel shows the table as seen from the reader's root: by now the namespace's.
        fd = os.open("self/mountinfo", os.O_RDONLY, dir_fd=proc)
        with open(fd, encoding="utf-8") as file:
            return file.read()

    try:
        return mounts.parse_mountinfo(inside(pid, ("mnt",), look) or "")
    finally:
        os.close(proc)


def names_at_root(pid: int) -> list[str]:
    """The names in / of a process's mount namespace, whatever root the process has."""
    found: list[str] = inside(pid, ("mnt",), lambda: sorted(os.listdir("/"))) or []
    return found


def host_name(pid: int) -> str:
    """The host name in a process's UTS namespace."""
    return str(inside(pid, ("uts",), lambda: os.uname().nodename))


def links_of(pid: int) -> list[links.Link]:
    """The links in a process's network namespace."""

    def look() -> list[links.Link]:
        with RouteSocket() as route:
            return links.every_link(route)

    return [links.Link(*link) for link in inside(pid, ("net",), look) or []]


def addresses_of(pid: int) -> list[str]:
    """The addresses (IPv4) in a process's network namespace."""

    def look() -> list[str]:
        with RouteSocket() as route:
            return [one.destination for one in links.every_address(route)]

    return [one for one in inside(pid, ("net",), look) or [] if ":" not in one]


def starts_at_root(pid: int) -> bool:
    """Whether the working folder of a process is `/` in its root."""
    try:
        here, root = os.stat(f"/proc/{pid}/cwd"), os.stat(f"/proc/{pid}/root")
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (root.st_dev, root.st_ino)


def held_by(pids: Iterable[int]) -> str:
    """The numbers of the open files of some processes, other than 0, 1 and 2, in words."""
    held = sorted({fd for pid in pids for fd in descriptors(pid)} - {0, 1, 2})
    return f"descriptors {held}" if held else "none"


def groups_seen_inside(pid: int) -> list[str]:
    """The paths of a process's groups, as a process in its own cgroup namespace sees them."""

    def look() -> list[str]:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        return sorted({line.split(":", 2)[2] for line in lines})

    return inside(pid, ("cgroup",), look) or []


def routes_of(pid: int) -> list[str]:
    """The routes of IPv4 in a process's network namespace: `10.99.0.0/24`, `default`."""

    def look() -> list[str]:
        with RouteSocket() as route:
            every = [one for one in links.every_route(route) if ":" not in one.destination]
        return sorted(f"{to}/{prefix}" if prefix else "default" for to, prefix, _ in every)

    return inside(pid, ("net",), look) or []


def devices(pid: int) -> list[str]:
    """The names in a process's /dev that are devices: of the same numbers as the host's."""
    dev = Path(f"/proc/{pid}/root/dev")
    found = []
    for path in dev.iterdir() if dev.is_dir() else ():
        mode = path.lstat()
        if stat.S_ISCHR(mode.st_mode) or stat.S_ISBLK(mode.st_mode):
            with suppress(FileNotFoundError):
                found += [path.name] if os.stat(f"/dev/{path.name}").st_rdev == mode.st_rdev else []
    return sorted(found)


def is_null(pid: int, path: str) -> bool:
    """Whether a path in a process's root is the device /dev/null."""
    try:
        found = os.stat(f"/proc/{pid}/root{path}")
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def hosts_mounts() -> list[str]:
    """The places where something is mounted in the judge's own namespace."""
    with open("/proc/self/mountinfo") as file:
        return [mount.target for mount in mounts.parse_mountinfo(file.read())]
