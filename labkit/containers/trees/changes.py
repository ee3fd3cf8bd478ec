"""What a container has changed: its writable layer compared with its image (`docker diff`).

The writable layer holds what was added or changed, whole; what was removed stands there as a
whiteout (a character device 0/0), and a folder that hides its like below is marked opaque
(kernel documentation, filesystems/overlayfs).  Where a container has a whole copy of the image's
files instead, what is not there was removed: every folder counts as opaque.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from labkit.images.layer_packer import MADE_BY_LABKIT
from labkit.images.unpacker import OVERLAY_XATTR

MODIFIED, ADDED, DELETED = 0, 1, 2
"""The API's numbers for what happened to a path."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NONE = -1

Change = tuple[str, int]


def changes(upper: int, lower: int, *, whole: bool = False) -> list[Change]:
    """Paths and kinds, by path.  `upper` and `lower` are open folders: the writable layer, or with
    `whole` the container's copy, and the image's files.  A folder in which something changed is
    listed as modified, but for the root.
    """
    found = list(_below("", upper, lower, whole))
    parents = {parent for path, _ in found for parent in _parents(path)}
    listed = {path for path, _ in found}
    found.extend((parent, MODIFIED) for parent in parents - listed)
    return sorted(found)


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _below(path: str, upper: int, lower: int, whole: bool) -> Iterator[Change]:
    names = os.listdir(upper)
    for name in names:
        with suppress(FileNotFoundError):
            yield from _one(f"{path}/{name}", name, upper, lower, whole)
    if lower != _NONE and (whole or _is_opaque(upper)):
        for name in set(os.listdir(lower)) - set(names):
            yield f"{path}/{name}", DELETED


def _one(path: str, name: str, upper: int, lower: int, whole: bool) -> Iterator[Change]:
    new, old = os.lstat(name, dir_fd=upper), _stat(name, lower)
    if stat.S_ISCHR(new.st_mode) and new.st_rdev == 0:
        if old is not None:
            yield path, DELETED
        return
    if path in MADE_BY_LABKIT and old is None and _is_empty(name, new, upper):
        return
    if old is None:
        yield path, ADDED
    elif _differs(new, old):
        yield path, MODIFIED
    if stat.S_ISDIR(new.st_mode):
        has_old = old is not None and stat.S_ISDIR(old.st_mode)
        yield from _in_folder(path, name, upper, lower if has_old else _NONE, whole)


def _in_folder(path: str, name: str, upper: int, lower: int, whole: bool) -> Iterator[Change]:
    inner_upper = os.open(name, _OPEN_FOLDER, dir_fd=upper)
    inner_lower = os.open(name, _OPEN_FOLDER, dir_fd=lower) if lower != _NONE else _NONE
    try:
        yield from _below(path, inner_upper, inner_lower, whole)
    finally:
        os.close(inner_upper)
        if inner_lower != _NONE:
            os.close(inner_lower)


def _stat(name: str, folder: int) -> os.stat_result | None:
    if folder == _NONE:
        return None
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _differs(new: os.stat_result, old: os.stat_result) -> bool:
    """As Docker compares: a folder's time is no sign of a change of its own."""
    if (new.st_mode, new.st_uid, new.st_gid) != (old.st_mode, old.st_uid, old.st_gid):
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    return (new.st_mtime_ns, new.st_size, new.st_rdev) != (
        old.st_mtime_ns,
        old.st_size,
        old.st_rdev,
    )


def _is_empty(name: str, found: os.stat_result, folder: int) -> bool:
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size == 0
    fd = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    try:
        return not os.listdir(fd)
    finally:
        os.close(fd)


def _is_opaque(folder: int) -> bool:
    try:
        return os.getxattr(folder, OVERLAY_XATTR + "opaque") == b"y"
    except OSError:
        return False
