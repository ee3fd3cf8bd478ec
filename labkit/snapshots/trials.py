"""Trying whether a folder can hold an overlay's writable layer, or a file that is a disk.

Whether it works depends on the kernel, on the file system and on the rights of this process, so
the only honest answer is to do it.  The functions change the mounts of the process that calls them:
call them in a process of their own (`in_child`).
"""

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress

from labkit.kernel import loops, mounts, namespaces
from labkit.kernel import overlay as overlayfs

IMAGE_BYTES = 1 << 20


def in_child(trial: Callable[[str], None], folder: str) -> str:
    """Try it in a forked process: "" if it works, else what went wrong.

    The process that calls this has one thread: a forked copy of several could wait for ever.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.write(writer, attempt(trial, folder).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as file:
        result = file.read()
    os.waitpid(pid, 0)
    return result


def attempt(trial: Callable[[str], None], folder: str) -> str:
    """ "" if the trial works in this process, else what went wrong."""
    try:
        trial(folder)
    except OSError as error:
        # The wrappers of `kernel` say which call it was: "mount: No such device".
        name = errno.errorcode.get(error.errno or 0, "")
        return f"{error.strerror or error} ({name})" if name else str(error)
    return ""


def overlay(folder: str) -> None:
    """Mount two layers on the file system of `folder`, and write through them; OSError."""
    _alone()
    with tempfile.TemporaryDirectory(prefix=".labkit-trial-", dir=nearest(folder)) as scratch:
        lower, upper, work, merged = (
            f"{scratch}/{name}" for name in ("lower", "upper", "work", "merged")
        )
        for place in (lower, upper, work, merged):
            os.mkdir(place)
        options = overlayfs.options([lower], upper, work)
        mounts.mount("overlay", merged, "overlay", data=options)
        try:
            os.mkdir(f"{merged}/written")
            os.stat(f"{upper}/written")
        finally:
            mounts.unmount(merged)


def loop(folder: str) -> None:
    """Make a file on the file system of `folder` a disk, and have ext4 look at it; OSError.

    The disk is empty: that ext4 refuses it by EINVAL shows that it would mount another.
    """
    _alone()
    with tempfile.TemporaryDirectory(prefix=".labkit-trial-", dir=nearest(folder)) as scratch:
        image = f"{scratch}/image"
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        fd, device = loops.attach(image)
        try:
            mounts.mount(device, scratch, "ext4", mounts.MS_RDONLY)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(fd)


def nearest(folder: str) -> str:
    """The folder itself, or the nearest above it that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _alone() -> None:
    """Let what is mounted from here on be seen by this process alone."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
