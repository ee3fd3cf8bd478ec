"""Mounting: mount(2), umount2(2), pivot_root(2), and the table of mounts (proc(5))."""

import os
from ctypes import c_ulong, create_string_buffer
from struct import unpack_from
from typing import NamedTuple

from labkit.kernel import libc

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

DATA_MAX_BYTES = 4095

PROC_SUPER_MAGIC = 0x9FA0
_PROC_ROOT_INODE = 1

FLAG_NAMES = {
    MS_RDONLY: "MS_RDONLY",
    MS_NOSUID: "MS_NOSUID",
    MS_NODEV: "MS_NODEV",
    MS_NOEXEC: "MS_NOEXEC",
    MS_REMOUNT: "MS_REMOUNT",
    MS_NOATIME: "MS_NOATIME",
    MS_BIND: "MS_BIND",
    MS_REC: "MS_REC",
    MS_PRIVATE: "MS_PRIVATE",
    MS_SLAVE: "MS_SLAVE",
    MS_SHARED: "MS_SHARED",
    MS_RELATIME: "MS_RELATIME",
    MS_STRICTATIME: "MS_STRICTATIME",
}


def flag_names(flags: int) -> str:
    """Return the flags in the notation of C: `MS_NOSUID|MS_NODEV`, or `0`."""
    return "|".join(name for bit, name in FLAG_NAMES.items() if flags & bit) or "0"


def is_proc(fd: int) -> bool:
    """Whether `fd` is the root of a proc file system (man 2 fstatfs)."""
    found = create_string_buffer(128)  # struct statfs, whose first field is f_type
    libc.call("fstatfs", fd, found)
    (kind,) = unpack_from("l", found)
    return kind == PROC_SUPER_MAGIC and os.fstat(fd).st_ino == _PROC_ROOT_INODE


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Attach a file system at `target` (man 2 mount); `data` are the file system's options."""
    fds: list[int] = []
    try:
        if kind == "overlay" and len(data.encode()) > DATA_MAX_BYTES:
            data = _short_overlay_options(data, fds)
        libc.call(
            "mount",
            source.encode(),
            target.encode(),
            kind.encode() or None,
            c_ulong(flags),
            data.encode() or None,
            path=target,
        )
    finally:
        for fd in fds:
            os.close(fd)


def _short_overlay_options(data: str, fds: list[int]) -> str:
    """Return the options with the lower folders opened, in `fds`, and named by descriptors.

    The kernel reads one page of options and cuts off the rest; an image may have 127 layers.
    """
    lower, comma, rest = data.removeprefix("lowerdir=").partition(",")
    for folder in lower.split(":"):
        fds.append(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    return f"lowerdir={':'.join(f'/proc/self/fd/{fd}' for fd in fds)}{comma}{rest}"


def unmount(target: str, flags: int = 0) -> None:
    """Detach the file system at `target` (man 2 umount)."""
    libc.call("umount2", target.encode(), flags, path=target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make `new_root` the root of this mount namespace, and the old one `put_old` (man 2)."""
    libc.syscall(
        "pivot_root", libc.SYS_PIVOT_ROOT, new_root.encode(), put_old.encode(), path=new_root
    )


class MountPoint(NamedTuple):
    """One line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5))."""

    root: str
    target: str
    options: tuple[str, ...]
    kind: str
    source: str
    super_options: tuple[str, ...]
    peers: tuple[str, ...] = ()
    """The peers to and from which mounts below it spread: `shared:2`, `master:7`."""


def parse_mountinfo(text: str) -> list[MountPoint]:
    """Return the lines of a mountinfo file, in the order of mounting."""
    return [_parse_line(line) for line in text.splitlines() if line]


def mount_of(path: str) -> MountPoint | None:
    """Return the mount that a real path is on; None if no listed mount is above it.

    That happens in a chroot(2) whose root is no mount point.
    """
    with open("/proc/self/mountinfo") as file:
        mounts = parse_mountinfo(file.read())
    above = [m for m in mounts if f"{path}/".startswith(f"{m.target.rstrip('/')}/")]
    # Of several mounts at one place only the last is visible.
    return max(reversed(above), key=lambda mount: len(mount.target), default=None)


def _parse_line(line: str) -> MountPoint:
    # Optional fields are between the sixth field and a lone hyphen.
    own, _, common = line.partition(" - ")
    _, _, _, root, target, options, *peers = own.split(" ")
    kind, source, super_options = common.split(" ", 2)
    return MountPoint(
        _unescape(root),
        _unescape(target),
        tuple(options.split(",")),
        kind,
        _unescape(source),
        tuple(super_options.split(",")),
        tuple(peers),
    )


def _unescape(field: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, character)
    return field
