"""Write a file so that a crash leaves the old one or the new one, never a part (rename(2))."""

import os
from contextlib import suppress

from labkit.kernel import reserve

_UNFINISHED = ".tmp"


def write_atomically(
    path: str, data: bytes, mode: int = 0o600, *, uses_reserve: bool = True
) -> None:
    """Write `data` to `path` through a temporary file; on return it has reached the disk.

    A kill -9 in the middle leaves the temporary file for `remove_unfinished`.  On a full disk it
    becomes one of the files of `labkit.kernel.reserve`, if `uses_reserve`; callers that make
    something new do without.  OSError (ENOSPC); then the temporary file is removed, too.
    """
    temporary = f"{path}.{os.getpid()}{_UNFINISHED}"
    try:
        try:
            _write(temporary, data, os.O_CREAT | os.O_TRUNC, mode)
        except OSError as error:
            is_full = error.errno in reserve.FULL and uses_reserve
            if not is_full or not reserve.take(temporary, len(data)):
                raise
            _write(temporary, data, 0, mode)
            os.chmod(temporary, mode)
        os.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path) or ".")


def _write(path: str, data: bytes, flags: int, mode: int) -> None:
    """Overwrite the file in place, so that its blocks are reused, and cut off the rest."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, mode)
    try:
        write_all(fd, data)
        os.ftruncate(fd, len(data))
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_unfinished(folder: str) -> None:
    """Remove the temporary files of killed writers; call it while no process writes there."""
    for name in os.listdir(folder):
        if name.endswith(_UNFINISHED):
            os.unlink(os.path.join(folder, name))


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of `data`; one write(2) may write only the beginning."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_folder(path: str) -> None:
    """Make the names in a folder durable: fsync(2) of a file does not cover its name."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def folders_from(path: str) -> list[str]:
    """Return a folder of the kernel (a cgroup) and all below it, those above first.

    A folder that vanishes during the walk is left out.  A container may nest them more deeply than
    Python's stack allows for os.walk().
    """
    found = [path]
    for folder in found:
        try:
            with os.scandir(folder) as entries:
                found += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return found


def text_of(path: str) -> str:
    """Return the text of a file; "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
