"""Mount points in a writable layer: labkit made them, and they are no part of the image."""

import os
import stat
from collections.abc import Iterable, Sequence

from labkit.kernel import overlay

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def prune(upper: str, below: Sequence[str], paths: Iterable[str]) -> None:
    """Take empty mount points out of a writable layer that the image (`below`) does not have.

    A folder above one goes too, if nothing else is in it and the image has it just so, or not.
    """
    for path in paths:
        parts = path.strip("/").split("/")
        for end in range(len(parts), 0, -1):
            if not _prune_one(upper, below, parts[:end], is_stub=end == len(parts)):
                break


def _prune_one(upper: str, below: Sequence[str], parts: list[str], *, is_stub: bool) -> bool:
    """Remove one empty file or folder; whether it is gone.  No link is followed on the way."""
    try:
        folder = os.open(upper, _FOLDER)
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError:
        os.close(folder)
        return False
    try:
        found = os.lstat(parts[-1], dir_fd=folder)
        under = _below(below, "/".join(parts))
        if under is not None and (is_stub or _look(under) != _look(found)):
            return False
        times = os.fstat(folder)
        if stat.S_ISDIR(found.st_mode):
            if _is_opaque(folder, parts[-1]):
                return False
            os.rmdir(parts[-1], dir_fd=folder)
        elif stat.S_ISREG(found.st_mode) and found.st_size == 0 and is_stub:
            os.unlink(parts[-1], dir_fd=folder)
        else:
            return False
        os.utime(folder, ns=(times.st_atime_ns, times.st_mtime_ns))
    except OSError:  # it is not there, or not empty
        return False
    finally:
        os.close(folder)
    return True


def _below(below: Sequence[str], path: str) -> os.stat_result | None:
    """Return the image's entry at a path, from the topmost layer that has one."""
    for layer in below:
        try:
            found = os.lstat(f"{layer}/{path}")
        except OSError:
            continue
        return None if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0 else found
    return None


def _look(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_mode, found.st_uid, found.st_gid


def _is_opaque(folder: int, name: str) -> bool:
    fd = os.open(name, _FOLDER, dir_fd=folder)
    try:
        return os.getxattr(fd, overlay.OPAQUE) == b"y"
    except OSError:
        return False
    finally:
        os.close(fd)
