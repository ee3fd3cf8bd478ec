"""Trials whether a folder can hold an overlay's writable layer, or a file that is a disk.

That depends on the kernel, on the file system and on the rights of this process, so the only
reliable test is to do it.  The functions change the mounts of the calling process: call them in a
separate process (`in_child`).
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
    """Try it in a forked process: "" if it works, else the reason.

    The calling process has one thread: a forked copy of several could wait for ever.
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
    """ "" if the trial works in this process, else the reason."""
    try:
        trial(folder)
    except OSError as error:
        # The wrappers of `kernel` name the call: "mount: No such device".
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
    """Make a file on the file system of `folder` a disk, and have ext4 read it; OSError.

    The disk is empty: if ext4 refuses it by EINVAL, it would mount a real one.
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
    """Return the folder itself, or the nearest existing one above it."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _alone() -> None:
    """Make later mounts visible to this process only."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
