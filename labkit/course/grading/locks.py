"""The processes that hold locks on files of a submission (proc(5), /proc/locks).

Two submissions have disks of the same make, so their files often have the same inode numbers: only
a device and an inode together are a file.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress


def holders(place: str, paths: Iterable[str], keeper: int) -> set[int]:
    """The processes below `keeper`, in its PID namespace, that hold a lock on one of the files.

    `paths` are as the submission sees them, below `place`; no link is followed.  The numbers are
    this machine's.
    """
    files = set()
    for path in paths:
        with suppress(OSError):
            files.add(_file(place, path))
    with open("/proc/locks") as file:
        found = {pid for pid, locked in parsed(file.read()) if locked in files}
    return {pid for pid in found if namespace(pid) == namespace(keeper)}


def parsed(text: str) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Each lock of /proc/locks: its process, and the device and inode of the file."""
    for fields in map(str.split, text.splitlines()):
        if "->" not in fields:  # a process that waits
            major, minor, inode = fields[5].split(":")
            yield int(fields[4]), (int(major, 16), int(minor, 16), int(inode))


def open_inside(place: str, path: str) -> int:
    """Open a folder below `place`, step by step; OSError (ELOOP) if a link is on the way."""
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in path.strip("/").split("/"):
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            found = os.open(name, flags, dir_fd=fd)
        finally:
            os.close(fd)
        fd = found
    return fd


def _file(place: str, path: str) -> tuple[int, int, int]:
    folder, name = os.path.split(path)
    fd = open_inside(place, folder)
    try:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    finally:
        os.close(fd)
    return os.major(found.st_dev), os.minor(found.st_dev), found.st_ino


def namespace(pid: int) -> int:
    """The inode of a process's PID namespace, -1 if it has ended."""
    try:
        return os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return -1
