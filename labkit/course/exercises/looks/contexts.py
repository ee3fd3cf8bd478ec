"""A build's context as the command sends it from the learner's folder, and builds of it."""

import base64
import io
import json
import os
import tarfile
from collections.abc import Mapping
from typing import NamedTuple

from labkit.client import building
from labkit.client.events import lines
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.finding import MachineFaultError
from labkit.course.exercises.looks.images import LABEL
from labkit.course.exercises.place import Place
from labkit.errors import LabkitError
from labkit.patterns import Patterns, read_ignore

IGNORE_FILE = ".dockerignore"
MOST_BYTES = 8 << 20
CACHED = " ---> Using cache"


class Built(NamedTuple):
    """How a build went; `cached` says for each instruction whether the cache had it."""

    image: str
    """The image's name; "" if the build failed."""
    cached: Mapping[str, bool]
    error: str = ""


def files(place: Place, folder: str) -> dict[str, bytes]:
    """The files that a build of this folder sends, by name; {} if there is no such folder."""

    def look() -> dict[str, str]:
        root = place.path(folder)
        patterns = Patterns(_ignored(root))
        found: dict[str, str] = {}
        size = 0
        for above, _, names in os.walk(root):
            for name in names:
                path = f"{above}/{name}"
                short = os.path.relpath(path, root)
                is_kept = short in ("Dockerfile", IGNORE_FILE) or not patterns.match(short)
                if not is_kept or not os.path.isfile(path):
                    continue
                size += os.path.getsize(path)
                if size > MOST_BYTES:
                    return found
                with open(path, "rb") as file:
                    found[short] = base64.b64encode(file.read()).decode()
        return found

    try:
        return {name: base64.b64decode(data) for name, data in place.among_files(look).items()}
    except LabkitError:  # a malformed pattern
        return {}


def _ignored(root: str) -> list[str]:
    try:
        with open(f"{root}/{IGNORE_FILE}", encoding="utf-8", errors="replace") as file:
            return read_ignore(file.read())
    except OSError:
        return []


def packed(context: Mapping[str, bytes]) -> bytes:
    """The context as an archive, always the same for the same files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in sorted(context):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(context[name]), 0o644
            tar.addfile(member, io.BytesIO(context[name]))
    return archive.getvalue()


def build(place: Place, values: Values, context: Mapping[str, bytes]) -> Built:
    """Build a context as the image `rebuilt-MARK`, which tidying removes."""
    request = building.BuildRequest()
    name = f"rebuilt-{values.mark}"
    request.tags, request.labels = [name], {LABEL: values.mark}
    cached: dict[str, bool] = {}
    step = ""
    try:
        for line in lines(building.start(place.client.api, request, [packed(context)])):
            event = json.loads(line)
            if "error" in event:
                return Built("", cached, str(event["error"])[:120])
            text = str(event.get("stream", ""))
            if text.startswith("Step "):
                step = text.partition(" : ")[2].strip()
                cached[step] = False
            elif text.startswith(CACHED):
                cached[step] = True
    except json.JSONDecodeError as error:
        raise MachineFaultError(f"the build's answer cannot be read: {error}") from error
    except LabkitError as error:
        return Built("", cached, str(error)[:120])
    return Built(name, cached)
