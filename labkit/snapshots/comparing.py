"""The difference between a container's copy and the image's tree that it was made from.

The result is a folder in the form of a layer's archive (OCI image-spec, layer.md): the new and
changed files, and an empty file `.wh.NAME` for each name that was deleted.  Changed files are not
copied but get one more name.

The container controls the copy: folders are opened by descriptor, and no link is followed.
"""

import os
import stat
from contextlib import suppress

from labkit.kernel import trails

WHITEOUT = ".wh."
NOTHING = -1
DEPTH_MAX = 250
"""Three folders of each level are open at once, and a process may have 1,024 descriptors."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class MarkedNameError(Exception):
    """A file of the container has a name that marks a deleted file in a layer."""


class TooDeepError(Exception):
    """Folders are nested too deeply to compare two trees."""


def gather(new: int, old: int, out: int, depth: int = 0) -> None:
    """Put the difference of two open folders into the empty folder `out`, with its attributes.

    `depth` is how many folders are above them, up to `DEPTH_MAX`: TooDeepError.
    """
    if depth > DEPTH_MAX:
        raise TooDeepError
    names = os.listdir(new)
    for name in names:
        if name.startswith(WHITEOUT):
            raise MarkedNameError(name)
        found, before = os.lstat(name, dir_fd=new), look(name, old)
        if stat.S_ISDIR(found.st_mode):
            _gather_folder(name, (new, old, out), before, depth)
        elif before is None or differs(name, found, before, new, old):
            os.link(name, name, src_dir_fd=new, dst_dir_fd=out, follow_symlinks=False)
    for name in _deleted(names, old):
        os.close(os.open(WHITEOUT + name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=out))
    copy_looks(new, out)


def _gather_folder(
    name: str, fds: tuple[int, int, int], before: os.stat_result | None, depth: int
) -> None:
    new, old, out = fds
    was_folder = before is not None and stat.S_ISDIR(before.st_mode)
    os.mkdir(name, 0o700, dir_fd=out)
    inner = [os.open(name, _FOLDER, dir_fd=fd) for fd in (new, out)]
    below = os.open(name, _FOLDER, dir_fd=old) if was_folder else NOTHING
    try:
        gather(inner[0], below, inner[1], depth + 1)
        is_same = was_folder and looks(inner[0]) == looks(below) and not os.listdir(inner[1])
    finally:
        for fd in (*inner, below):
            if fd != NOTHING:
                os.close(fd)
    if is_same:
        os.rmdir(name, dir_fd=out)


def changed_bytes(new: int, old: int) -> int:
    """Return the sum of the sizes of the new or changed files, each counted once.

    Files below more than `DEPTH_MAX` folders are left out.
    """
    seen: dict[int, int] = {}
    _note_changed(new, old, seen, 0)
    return sum(seen.values())


def _note_changed(new: int, old: int, seen: dict[int, int], depth: int) -> None:
    for name in os.listdir(new) if depth <= DEPTH_MAX else ():
        # The container may run, and remove or replace a file during the walk.
        with suppress(FileNotFoundError, NotADirectoryError):
            found, before = os.lstat(name, dir_fd=new), look(name, old)
            if not stat.S_ISDIR(found.st_mode):
                if before is None or differs(name, found, before, new, old):
                    seen[found.st_ino] = found.st_size
                continue
            was_folder = before is not None and stat.S_ISDIR(before.st_mode)
            inner = os.open(name, _FOLDER, dir_fd=new)
            below = os.open(name, _FOLDER, dir_fd=old) if was_folder else NOTHING
            try:
                _note_changed(inner, below, seen, depth + 1)
            finally:
                os.close(inner)
                if below != NOTHING:
                    os.close(below)


def size_bytes(folder: str) -> int:
    """Return the size of the files below a folder, each counted once; 0 if it is missing."""
    total_bytes = 0
    seen: set[int] = set()
    with suppress(FileNotFoundError):
        for file in trails.files(folder):
            if file.st_ino not in seen:
                total_bytes += file.st_size
            if file.st_nlink > 1:
                seen.add(file.st_ino)
    return total_bytes


def look(name: str, folder: int) -> os.stat_result | None:
    """Return the file with this name; None if it or the folder is missing."""
    if folder == NOTHING:
        return None
    try:
        return os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return None


def differs(name: str, found: os.stat_result, before: os.stat_result, new: int, old: int) -> bool:
    """Whether a file, which is no folder, has changed, by Docker's comparison.

    Attributes count too: `setcap` leaves size and time as they are.
    """
    return _facts(found) != _facts(before) or _attributes(name, new) != _attributes(name, old)


def _facts(found: os.stat_result) -> tuple[int, ...]:
    looks = (found.st_mode, found.st_uid, found.st_gid)
    return (*looks, found.st_size, found.st_mtime_ns, found.st_rdev)


def looks(folder: int) -> tuple[int, int, int, dict[str, bytes]]:
    """Return a folder's mode, owner and attributes; its time alone is no change (Docker's rule)."""
    found = os.fstat(folder)
    return found.st_mode, found.st_uid, found.st_gid, _attributes_of(folder)


def _attributes(name: str, folder: int) -> dict[str, bytes]:
    return _attributes_of(f"/proc/self/fd/{folder}/{name}")


def _attributes_of(place: int | str) -> dict[str, bytes]:
    follow = {} if isinstance(place, int) else {"follow_symlinks": False}
    try:
        names = os.listxattr(place, **follow)
        return {name: os.getxattr(place, name, **follow) for name in names}
    except OSError:
        return {}


def _deleted(names: list[str], old: int) -> set[str]:
    return set(os.listdir(old)) - set(names) if old != NOTHING else set()


def copy_looks(source: int, target: int) -> None:
    """Copy the owner, mode, attributes and times of one folder to another."""
    found = os.fstat(source)
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name, value in _attributes_of(source).items():
        try:
            os.setxattr(target, name, value)
        except OSError:  # this file system, or this process, may not set it
            continue
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
