"""Mounts as open files: openat2(2), open_tree(2), mount_setattr(2), move_mount(2).

mount(2) names places by path, and by the time of its use a path can lead elsewhere, or through a
link that a container put there.  These calls work on descriptors: a place is looked up once, by
rules about where it may be, and stays the same place whatever happens to its name.
"""

import os
from contextlib import suppress
from ctypes import c_char_p, c_size_t
from struct import pack

from labkit.kernel import libc

# Numbers above 424 are the same on every architecture.
SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10
TRIES = 128
"""How often a path is looked up.  Three containers that do nothing but rename files made one
look-up of 130 fail."""

OPEN_TREE_CLONE = 0x1
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
FSOPEN_CLOEXEC = 0x1
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSMOUNT_CLOEXEC = 0x1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x100000


def open_in_root(root_fd: int, path: str) -> int:
    """Find `path` as a process would with the root `root_fd`; return a descriptor (O_PATH).

    Links are followed inside that root only; the magic links of /proc (/proc/self/cwd) are refused
    (man 2 openat2).  The kernel gives up with EAGAIN if any file of the machine is renamed while it
    follows a `..`, so this tries again.
    """
    how = pack("<3Q", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    arguments = (root_fd, os.fsencode(path), how, c_size_t(len(how)))
    for _ in range(TRIES - 1):
        with suppress(BlockingIOError):
            return libc.syscall("openat2", SYS_OPENAT2, *arguments, path=path)
    return libc.syscall("openat2", SYS_OPENAT2, *arguments, path=path)


def clone_tree(fd: int, *, recursive: bool = True) -> int:
    """Return a copy of the mount at `fd`, from there on, attached nowhere (man 2 open_tree).

    It shows the same files, like a bind mount; `recursive` includes the mounts below.
    """
    flags = OPEN_TREE_CLONE | AT_EMPTY_PATH | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return libc.syscall("open_tree", SYS_OPEN_TREE, fd, c_char_p(b""), flags)


def new_file_system(kind: str, attributes: int) -> int:
    """Return a new file system without options, as `proc`, attached nowhere (Linux 5.2)."""
    made = libc.syscall("fsopen", SYS_FSOPEN, kind.encode(), FSOPEN_CLOEXEC, path=kind)
    try:
        for what, words in (
            (FSCONFIG_SET_STRING, (b"source", kind.encode())),
            (FSCONFIG_CMD_CREATE, (None, None)),
        ):
            libc.syscall("fsconfig", SYS_FSCONFIG, made, what, *words, 0, path=kind)
        return libc.syscall("fsmount", SYS_FSMOUNT, made, FSMOUNT_CLOEXEC, attributes, path=kind)
    finally:
        os.close(made)


def set_attributes(fd: int, attributes: int, *, recursive: bool = True) -> None:
    """Add attributes to a mount and to all below it; earlier restrictions stay.

    man 2 mount_setattr (Linux 5.12).
    """
    _change(fd, attributes=attributes, recursive=recursive)


def spread(fd: int, propagation: int, *, recursive: bool) -> None:
    """Set how later mounts below a mount spread: MS_SLAVE, MS_SHARED."""
    _change(fd, propagation=propagation, recursive=recursive)


def map_ids(fd: int, user_namespace_fd: int) -> None:
    """Show a tree of `clone_tree` with its files' owners mapped by a user namespace.

    Files of 0 on the disk belong to the namespace's root here, and files that this root makes here
    belong to 0 on the disk; no file is changed (man 2 mount_setattr, MOUNT_ATTR_IDMAP).  EINVAL if
    a file system cannot (overlay, NFS; tmpfs before Linux 6.3).
    """
    _change(fd, attributes=MOUNT_ATTR_IDMAP, user_namespace_fd=user_namespace_fd)


def _change(
    fd: int,
    *,
    attributes: int = 0,
    propagation: int = 0,
    user_namespace_fd: int = 0,
    recursive: bool = True,
) -> None:
    change = pack("<4Q", attributes, 0, propagation, user_namespace_fd)
    libc.syscall(
        "mount_setattr",
        SYS_MOUNT_SETATTR,
        fd,
        c_char_p(b""),
        AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0),
        change,
        c_size_t(len(change)),
    )


def attach(tree_fd: int, target_fd: int) -> None:
    """Mount a tree of `clone_tree` on the folder or file behind `target_fd` (man 2 move_mount)."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    empty = c_char_p(b"")
    libc.syscall("move_mount", SYS_MOVE_MOUNT, tree_fd, empty, target_fd, empty, flags)
