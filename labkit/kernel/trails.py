"""Walks through trees that others made and may change: by descriptors, at any depth.

A container can nest folders more deeply than Python's stack and PATH_MAX allow, and it can move a
folder during a walk.  So nothing here recurses, each name is opened from its own folder, no link is
followed, and few descriptors are open at a time, however deep the walk is.
"""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import NamedTuple

OPEN_MAX = 32
"""How many folders of a trail stay open."""
BATCH = 4096
"""How many names of one folder are held at a time while it is emptied."""

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_IMMUTABLE_FL, FS_APPEND_FL = 0x10, 0x20

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level(NamedTuple):
    fd: int
    """-1 while the folder is closed."""
    name: str
    device: int
    inode: int


class Trail:
    """The folders from the top of a tree down to the current one of a walk; the caller closes it.

    A folder that was closed on the way down is opened again as `..` of the one below it.  If that
    is another folder than before, the tree was moved: then the walk ends with OSError (ESTALE), and
    never continues outside of the tree.
    """

    def __init__(self, top: int, *, crosses_mounts: bool = True) -> None:
        """`top` is an open folder; the trail has its own copy of the descriptor."""
        found = os.fstat(top)
        self._levels = [_Level(os.open(".", _FOLDER, dir_fd=top), "", found.st_dev, found.st_ino)]
        self._crosses_mounts = crosses_mounts

    @property
    def here(self) -> int:
        """The descriptor of the current folder, valid until the next move."""
        return self._levels[-1].fd

    @property
    def depth(self) -> int:
        """How many folders it is below the top."""
        return len(self._levels) - 1

    def enter(self, name: str) -> None:
        """Go down into a folder; OSError if it is none, or (EXDEV) on another file system."""
        fd = os.open(name, _FOLDER, dir_fd=self.here)
        found = os.fstat(fd)
        if not self._crosses_mounts and found.st_dev != self._levels[0].device:
            os.close(fd)
            raise OSError(errno.EXDEV, "another file system is mounted there", name)
        self._levels.append(_Level(fd, name, found.st_dev, found.st_ino))
        if self.depth > OPEN_MAX:
            self._close(self.depth - OPEN_MAX)

    def leave(self) -> str:
        """Go up again; return the name of the folder that was left.  OSError (ESTALE): see above.

        After an error the trail can only be closed.
        """
        level, above = self._levels[-1], self._levels[-2]
        if above.fd < 0:
            fd = os.open("..", _FOLDER, dir_fd=level.fd)
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) != (above.device, above.inode):
                os.close(fd)
                raise OSError(errno.ESTALE, "a folder was moved during the walk", level.name)
            self._levels[-2] = above._replace(fd=fd)
        self._levels.pop()
        os.close(level.fd)
        return level.name

    def _close(self, number: int) -> None:
        level = self._levels[number]
        if number and level.fd >= 0:  # the top stays open: it leads back to the caller
            os.close(level.fd)
            self._levels[number] = level._replace(fd=-1)

    def close(self) -> None:
        """Close all open folders."""
        for level in self._levels:
            if level.fd >= 0:
                os.close(level.fd)
        self._levels.clear()

    def __enter__(self) -> "Trail":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def remove_tree(path: str) -> None:
    """Remove a folder and all in it, on its own file system only; a missing folder is no error.

    Continues after a failure, and raises the first OSError at the end.  Needs no free space.
    """
    try:
        fd = os.open(path, _FOLDER)
    except FileNotFoundError:
        return
    errors: list[OSError] = []
    try:
        with Trail(fd, crosses_mounts=False) as trail:
            _remove_below(trail, errors)
    finally:
        os.close(fd)
    if errors:
        raise errors[0]
    os.rmdir(path)


def _remove_below(trail: Trail, errors: list[OSError]) -> None:
    """Empty the top folder of the trail."""
    waiting = [_unlink_files(trail.here, errors)]
    while waiting:
        folders = waiting[-1]
        if folders.names:
            with _noting(errors):
                trail.enter(folders.names.pop())
                waiting.append(_unlink_files(trail.here, errors))
        elif folders.are_all or errors:
            waiting.pop()
            if waiting:
                name = trail.leave()
                with _noting(errors):
                    _remove_folder(trail.here, name)
        else:
            waiting[-1] = _unlink_files(trail.here, errors)


@contextmanager
def _noting(errors: list[OSError]) -> Iterator[None]:
    """Note an error and continue; a missing file is no error."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        errors.append(error)


class _Folders(NamedTuple):
    """Names of folders in a folder, to remove."""

    names: list[str]
    are_all: bool


def _unlink_files(folder: int, errors: list[OSError]) -> _Folders:
    """Unlink the files in a folder; return its folders, at most about BATCH at once."""
    folders: list[str] = []
    with os.scandir(folder) as entries:
        while batch := list(islice(entries, BATCH)):
            if len(folders) >= BATCH:
                return _Folders(folders, are_all=False)
            for entry in batch:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                    continue
                with _noting(errors):
                    _unlink(folder, entry)
    return _Folders(folders, are_all=True)


def _unlink(folder: int, entry: "os.DirEntry[str]") -> None:
    try:
        os.unlink(entry.name, dir_fd=folder)
    except PermissionError:  # a privileged container used chattr(1) on the folder or file
        _make_mutable(folder)
        if entry.is_file(follow_symlinks=False):
            file = os.open(entry.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            _make_mutable(file)
            os.close(file)
        os.unlink(entry.name, dir_fd=folder)


def _make_mutable(fd: int) -> None:
    """Undo `chattr +i` and `+a` (man 2 FS_IOC_SETFLAGS); not all file systems have them."""
    flags = bytearray(4)
    with suppress(OSError):
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, flags)
        kept = int.from_bytes(flags, sys.byteorder) & ~(FS_IMMUTABLE_FL | FS_APPEND_FL)
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, kept.to_bytes(4, sys.byteorder))


def _remove_folder(folder: int, name: str) -> None:
    try:
        os.rmdir(name, dir_fd=folder)
    except PermissionError:
        _make_mutable(folder)
        inner = os.open(name, _FOLDER, dir_fd=folder)
        _make_mutable(inner)
        os.close(inner)
        os.rmdir(name, dir_fd=folder)


def files(path: str) -> Iterator[os.stat_result]:
    """Yield every file below a folder, folders excepted, in no order.

    A file that is removed during the walk is left out; and if a folder is moved, so is all the
    rest.  FileNotFoundError if `path` is missing.
    """
    fd = os.open(path, _FOLDER)
    try:
        trail = Trail(fd)
    finally:
        os.close(fd)
    with trail:
        waiting: list[list[str]] = [[]]
        yield from _files_here(trail.here, waiting[-1])
        while waiting:
            if waiting[-1]:
                with suppress(FileNotFoundError, NotADirectoryError):
                    trail.enter(waiting[-1].pop())
                    waiting.append([])
                    yield from _files_here(trail.here, waiting[-1])
                continue
            waiting.pop()
            if waiting and not _goes_up(trail):
                return


def _goes_up(trail: Trail) -> bool:
    try:
        trail.leave()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return False
    return True


def _files_here(folder: int, folders: list[str]) -> Iterator[os.stat_result]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    yield entry.stat(follow_symlinks=False)
