"""Trials: the judge itself runs a learner's image or script, in a separate container."""

import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from labkit.client.containers import Container
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.looks.clock import waiting
from labkit.course.exercises.place import Place
from labkit.errors import LabkitError

MOST_S = 10.0
"""A container that runs longer than this is removed."""
OUTPUT_BYTES = 1 << 18
NEVER_ENDED = -1
NEVER_STARTED = -2


class Trial(NamedTuple):
    """How a container ended, and what it printed."""

    code: int
    """Its exit status, or NEVER_ENDED, or NEVER_STARTED."""
    output: str

    def __str__(self) -> str:
        if self.code == NEVER_STARTED:
            return f"it does not start ({self.output})"
        if self.code == NEVER_ENDED:
            return f"it still runs after {MOST_S:.0f} s"
        shown = repr(self.output.strip()[:60])
        return shown if self.code == 0 else f"status {self.code}, {shown}"


def run(
    place: Place,
    values: Values,
    image: str,
    words: Sequence[str] = (),
    files: Mapping[str, bytes] | None = None,
    **options: Any,
) -> Trial:
    """Run an image with these words after it, and remove the container.

    `files` are put into the container's root folder before it starts.
    """
    name = f"trial-{values.mark}"
    try:
        container = place.client.containers.create(image, list(words), name=name, **options)
    except LabkitError as error:
        return Trial(NEVER_STARTED, str(error)[:120])
    try:
        if files:
            container.put_archive("/", archive(files))
        container.start()
        clock = waiting()
        while container.status in ("created", "running") and clock.now() < MOST_S:
            time.sleep(0.05)
            container.reload()
        if container.status != "exited":
            return Trial(NEVER_ENDED, "")
        return Trial(int(container.attrs["State"]["ExitCode"]), printed(container))
    except LabkitError as error:
        return Trial(NEVER_STARTED, str(error)[:120])
    finally:
        with suppress(LabkitError):
            container.remove(force=True)


def printed(container: Container) -> str:
    """The beginning of a container's output, which may be endless."""
    found = b""
    for piece in container.logs(stream=True):
        found += piece
        if len(found) > OUTPUT_BYTES:
            break
    return found[:OUTPUT_BYTES].decode("utf-8", "replace")


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of these files, all readable by everyone."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()
