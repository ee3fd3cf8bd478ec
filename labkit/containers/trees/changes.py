"""The changes of a container: its writable layer compared with its image (`docker diff`).

The writable layer has every added or changed file as a whole.  A removed file is there as a
whiteout (a character device 0/0), and a folder that hides the one below it is marked opaque
(kernel documentation, filesystems/overlayfs).  If a container has a whole copy of the image's
files instead, a missing file was removed: every folder counts as opaque.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from labkit.images.archives.layer_packer import MADE_BY_LABKIT
from labkit.images.archives.reader import PATH_MAX_BYTES
from labkit.kernel import overlay
from labkit.kernel.trails import Trail

MODIFIED, ADDED, DELETED = 0, 1, 2
"""The API's numbers for the kinds of change."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NONE = -1

PATHS_MAX_BYTES = 32 << 20

Change = tuple[str, int]


class TooManyError(Exception):
    """More has changed than can be listed."""


class _Folder(NamedTuple):
    """A folder of the writable layer that has not been walked yet."""

    path: str
    name: str
    has_old: bool
    """Whether the image has a folder with this path too."""


def changes(upper: int, lower: int, *, whole: bool = False) -> list[Change]:
    """The changed paths with the kinds of change, sorted by path.

    `upper` is an open folder, the writable layer or, with `whole`, the container's copy; `lower`
    is the image's files.  A folder with a change in it is listed as modified, except the root.

    A path of more than `PATH_MAX_BYTES` is left out: no system call accepts it.  TooManyError if
    the paths are together longer than `PATHS_MAX_BYTES`, OSError (ESTALE) if a folder is moved
    during the walk.
    """
    found = list(_walk(upper, lower, whole))
    parents = {parent for path, _ in found for parent in _parents(path)}
    listed = {path for path, _ in found}
    found.extend((parent, MODIFIED) for parent in parents - listed)
    return sorted(found)


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _walk(upper: int, lower: int, whole: bool) -> Iterator[Change]:
    left_bytes = PATHS_MAX_BYTES
    with Trail(upper) as new, Trail(lower) as old:
        waiting: list[list[_Folder]] = [[]]
        here = _Folder("", "", has_old=True)
        while True:
            known = old.here if here.has_old else _NONE
            for path, kind in _compare(here.path, new.here, known, whole, waiting[-1]):
                left_bytes -= len(path)
                if left_bytes < 0:
                    raise TooManyError
                yield path, kind
            next_one = _go_on(new, old, waiting)
            if next_one is None:
                return
            here = next_one
            waiting.append([])


def _go_on(new: Trail, old: Trail, waiting: list[list[_Folder]]) -> _Folder | None:
    """Enter the next folder of the walk, on both sides; None if none is left."""
    while True:
        if waiting[-1]:
            folder = waiting[-1].pop()
            with suppress(FileNotFoundError, NotADirectoryError):  # a running container changed it
                new.enter(folder.name)
                if folder.has_old:
                    old.enter(folder.name)
                return folder
            continue
        waiting.pop()
        if not waiting:
            return None
        if old.depth == new.depth:
            old.leave()
        new.leave()


def _compare(
    path: str, upper: int, lower: int, whole: bool, folders: list[_Folder]
) -> Iterator[Change]:
    """The changes in one folder; the folders in it are added to `folders`."""
    try:
        names = os.listdir(upper)
    except FileNotFoundError:  # a running container has just removed it
        return
    for name in names:
        below = f"{path}/{name}"
        if len(os.fsencode(below)) > PATH_MAX_BYTES:
            continue
        with suppress(FileNotFoundError):
            new, old = os.lstat(name, dir_fd=upper), _stat(name, lower)
            kind = _kind(below, name, new, old, upper)
            if kind is not None:
                yield below, kind
            if stat.S_ISDIR(new.st_mode):
                has_old = old is not None and stat.S_ISDIR(old.st_mode)
                folders.append(_Folder(below, name, has_old))
    if lower != _NONE and (whole or _is_opaque(upper)):
        for name in set(os.listdir(lower)) - set(names):
            yield f"{path}/{name}", DELETED


def _kind(
    path: str, name: str, new: os.stat_result, old: os.stat_result | None, upper: int
) -> int | None:
    """The kind of change of a path itself; None if it has not changed."""
    if stat.S_ISCHR(new.st_mode) and new.st_rdev == 0:
        return None if old is None else DELETED
    if path in MADE_BY_LABKIT and old is None and _is_empty(name, new, upper):
        return None
    if old is None:
        return ADDED
    return MODIFIED if _differs(new, old) else None


def _stat(name: str, folder: int) -> os.stat_result | None:
    if folder == _NONE:
        return None
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def _differs(new: os.stat_result, old: os.stat_result) -> bool:
    """Whether a file differs, by Docker's rule: the time of a folder does not count."""
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
        return os.getxattr(folder, overlay.OPAQUE) == b"y"
    except OSError:
        return False
