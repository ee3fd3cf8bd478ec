"""Removing folders that an exercise has made beside the notebook, and what is mounted on them."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.place import Place
from labkit.kernel import mounts


def remove_trees(place: Place, names: Sequence[str]) -> None:
    """Unmount and remove folders of the learner's folder; one that is not there is no error."""

    def unmount() -> None:
        for name in names:
            for _ in range(3):
                with suppress(OSError):
                    mounts.unmount(place.path(name), mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)

    def remove() -> None:
        for name in names:
            if os.path.isdir(place.path(name)):
                shutil.rmtree(place.path(name), ignore_errors=True)

    with suppress(OSError):
        if place.root == "/":
            unmount()
        else:
            processes.inside(place.kernel_pid, ("mnt",), unmount)
        place.among_files(remove)
