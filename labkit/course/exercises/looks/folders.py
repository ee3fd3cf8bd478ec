"""Files that a scene lays into the learner's folder, and that tidying removes."""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress

from labkit.course.exercises.place import Place


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
    """Remove files and folders from the learner's folder; those that are not there are skipped."""

    def take() -> None:
        for name in names:
            path = place.path(name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(path)

    place.among_files(take)
