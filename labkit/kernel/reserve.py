"""Reserved space for a full disk: ending and removing must work with no byte free.

One folder holds a few small files with allocated blocks.  If a file cannot be written (ENOSPC, or
EDQUOT), one of them is moved to its place and filled, so that its space never becomes free for
other processes; if a folder cannot be made, one is deleted and the kernel tries again.  Every
process may use them: rename(2) takes a file for one process only.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress

FILES = {8 << 10: 48, 128 << 10: 4}
"""Sizes in bytes and numbers of files: for records, and for the index of images."""
FULL = (errno.ENOSPC, errno.EDQUOT)

_folder = ""


def use(root: str) -> None:
    """Let this process use the reserve in this data root."""
    global _folder  # noqa: PLW0603 one data root a process, for all its writers
    _folder = f"{root}/reserve"


def fill() -> bool:
    """Make the missing files; False if the disk has no room for them."""
    if len(_names()) >= sum(FILES.values()):
        return True
    try:
        with suppress(FileExistsError):
            os.mkdir(_folder, 0o700)
        for size, count in FILES.items():
            for number in range(count):
                _allocate(f"{_folder}/{size}-{number}", size)
    except FileNotFoundError:
        return True  # the data root was removed: it must not reappear with this folder alone
    except OSError as error:
        if error.errno not in FULL:
            raise
        return False
    return True


def _allocate(path: str, size: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    try:
        os.write(fd, bytes(size))
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def take(path: str, size: int) -> bool:
    """Move a file with room for `size` bytes to `path`; False if that disk has none."""
    for name in _names():
        if int(name.partition("-")[0]) < size:
            continue
        with suppress(OSError):
            os.rename(f"{_folder}/{name}", path)
            return True
    return False


def retrying(make: Callable[[], str]) -> str:
    """Return `make()`; if the disk is full, delete a file of the reserve and retry."""
    while True:
        try:
            return make()
        except OSError as error:
            if error.errno not in FULL or not _give_up():
                raise


def _give_up() -> bool:
    for name in _names():
        with suppress(OSError):
            os.unlink(f"{_folder}/{name}")
            return True
    return False


def _names() -> list[str]:
    try:
        names = os.listdir(_folder) if _folder else []
    except OSError:
        return []
    return sorted(names, key=lambda name: int(name.partition("-")[0]))
