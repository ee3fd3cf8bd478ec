"""inotify(7): the kernel reports changes in a folder, so that no thread has to poll it."""

import os
from struct import calcsize, unpack_from

from labkit.kernel import libc

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_Q_OVERFLOW = 0x4000
IN_ONLYDIR = 0x1000000
_IN_CLOEXEC = os.O_CLOEXEC
_HEAD = "iIII"  # struct inotify_event: watch, mask, cookie, length of the name
_BUFFER_BYTES = 64 * 1024


def create() -> int:
    """Return a new inotify descriptor; OSError EMFILE if this user has too many."""
    return libc.call("inotify_init1", _IN_CLOEXEC)


def add(fd: int, folder: str, mask: int) -> int:
    """Watch a folder and return the watch's number; a folder watched twice has one number."""
    return libc.call("inotify_add_watch", fd, os.fsencode(folder), mask, path=folder)


def remove(fd: int, watch: int) -> None:
    """End a watch; OSError EINVAL if the kernel has ended it because the folder was removed."""
    libc.call("inotify_rm_watch", fd, watch)


def read(fd: int) -> list[tuple[int, int]]:
    """Wait for events, and return the watch (-1: all) and the mask of each."""
    data = os.read(fd, _BUFFER_BYTES)
    found = []
    position = 0
    while position < len(data):
        watch, mask, _, length = unpack_from(_HEAD, data, position)
        found.append((watch, mask))
        position += calcsize(_HEAD) + length
    return found
