"""Files that a scene lays into the learner's folder, and that tidying removes with their mounts."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.place import Place
from labkit.kernel import mounts

DEEPEST_STACK = 3
"""The most mounts on one folder that are unmounted."""


def write(place: Place, files: Mapping[str, bytes]) -> None:
    """Write files into the learner's folder, and the folders above them.  OSError."""

    def lay() -> None:
        for name, data in files.items():
            path = place.path(name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)

    place.among_files(lay)


def remove(place: Place, *names: str) -> None:
    """Remove files and folders from the learner's folder, after unmounting what is on them.

    Those that are not there are skipped.
    """
    paths = [place.path(name) for name in names]

    def unmount() -> None:
        for path in paths * DEEPEST_STACK:
            with suppress(OSError):
                mounts.unmount(path, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)

    def take() -> None:
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(path)

    with suppress(OSError):
        if place.root == "/":
            unmount()
        else:
            processes.inside(place.kernel_pid, ("mnt",), unmount)
    with suppress(OSError):
        place.among_files(take)
