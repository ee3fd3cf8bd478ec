"""The files of a COPY that differ from those of an earlier build: `--explain-cache`.

The earlier ones are in the layer that the earlier step made, so no separate record is needed.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence

from labkit.build.sources import Source
from labkit.images import Image
from labkit.kernel import trees

SHOWN = 5
CHUNK_BYTES = 1 << 18


def differences(sources: Sequence[Source], place: str, image: Image) -> list[str]:
    """Return the files that are new, changed or gone since the image's step, in short words."""
    if image.history[-1].empty_layer:
        return ["nothing was copied before"]
    root = os.open(image.layer_directories()[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = list(_differences(sources, place, root))
    finally:
        os.close(root)
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return [*found[:SHOWN], *more]


def _differences(sources: Sequence[Source], place: str, root: int) -> Iterator[str]:
    into = place.endswith("/") or _is_folder(root, place)
    expected: set[str] = set()
    for source in sources:
        for name, node in source.parts:
            is_itself = not source.node.is_folder and not into
            target = place if is_itself else f"{place.rstrip('/')}/{name}"
            expected.add(target)
            shown = name if source.node.is_folder else source.path
            mode = node.member.mode & 0o7777
            before = _look(root, target)
            if before is None:
                if node.kind != "link":
                    yield f"{shown} is new"
            elif stat.S_ISREG(before[0]) and node.kind == "file":
                source.archive.digest(node)
                if before[1] != node.content:
                    yield f"{shown} has changed"
                elif stat.S_IMODE(before[0]) != mode:
                    yield f"the mode of {shown} was {stat.S_IMODE(before[0]):04o}, is {mode:04o}"
    if any(source.node.is_folder for source in sources):
        base = place.rstrip("/")
        for path in sorted(_files(root, base)):
            if path not in expected:
                yield f"{path.removeprefix(base).lstrip('/')} is gone"


def _look(root: int, path: str) -> tuple[int, str] | None:
    """Return the mode and, of a regular file, the SHA-256 at a path of the layer."""
    try:
        fd = trees.open_in_root(root, path)
    except OSError:
        return None
    try:
        mode = os.fstat(fd).st_mode
        content = hashlib.sha256()
        if stat.S_ISREG(mode):
            with open(f"/proc/self/fd/{fd}", "rb") as file:
                while piece := file.read(CHUNK_BYTES):
                    content.update(piece)
        return mode, content.hexdigest()
    finally:
        os.close(fd)


def _is_folder(root: int, path: str) -> bool:
    found = _look(root, path)
    return found is not None and stat.S_ISDIR(found[0])


def _files(root: int, path: str) -> Iterator[str]:
    """The files below a folder of the layer."""
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(root, folder):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{folder}/{entry.name}")
            elif entry.is_file(follow_symlinks=False):
                yield f"{folder}/{entry.name}"


def _entries(root: int, path: str) -> "list[os.DirEntry[str]]":
    """Return the names in a folder of the layer; none if it is none or its path is too long."""
    try:
        fd = trees.open_in_root(root, path or "/")
    except OSError:
        return []
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            return []
        with os.scandir(f"/proc/self/fd/{fd}") as entries:
            return list(entries)
    finally:
        os.close(fd)
