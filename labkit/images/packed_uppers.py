"""The upper folder of an overlay, packed as a layer of an image."""

import os
import stat
import subprocess
from collections.abc import Collection, Iterator, Sequence

from labkit.errors import InvalidParameterError
from labkit.images import programs
from labkit.images.archives import layer_packer, unpacker
from labkit.images.archives.compression import CHUNK_BYTES
from labkit.kernel import threads, trees, waiting

ETC = "etc"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class PackingProcess:
    """The confined process that packs a writable layer; its output is read like a file.

    `left_out`: paths relative to the folder.  `marked`: its deletions are `.wh.` files.
    """

    def __init__(self, upper: str, left_out: Sequence[str], *, marked: bool = False) -> None:
        kind = unpacker.MARKED if marked else ""
        self._process = subprocess.Popen(
            programs.command(layer_packer.__name__, upper, kind, *left_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd="/",
        )
        assert self._process.stdout is not None  # noqa: S101 it is a pipe
        waiting.widen(self._process.stdout.fileno())

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes of the archive, none at its end; InvalidParameterError."""
        assert self._process.stdout is not None  # noqa: S101 it is a pipe
        waiting.until_readable(self._process.stdout.fileno())
        threads.check_caller()
        data: bytes = self._process.stdout.read(size)
        if not data:
            self.size_bytes()
        return data

    def size_bytes(self) -> int:
        """Wait for its end, and return the sum of the files' sizes."""
        assert self._process.stdout is not None  # noqa: S101 it is a pipe
        assert self._process.stderr is not None  # noqa: S101 it is a pipe
        if self._process.returncode is None:
            self._said = self._process.stderr.read().decode(errors="replace").strip()
        status = self._process.wait()
        if status:
            reason = self._said.splitlines()[-1] if self._said else f"exit status {status}"
            raise InvalidParameterError(f"cannot pack the writable layer: {reason}")
        return int(self._said)

    def __enter__(self) -> "PackingProcess":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def pieces(process: PackingProcess) -> Iterator[bytes]:
    """Yield the whole archive, in pieces."""
    while piece := process.read(CHUNK_BYTES):
        yield piece


def to_leave_out(upper: str, below: Sequence[str]) -> list[str]:
    """Return the parts of a writable layer that the container did not make: relative paths.

    `below` are the image's unpacked layers, the topmost first.  The parts are the mount points, and
    the folder itself if it has the attributes of the one below.
    """
    fd = os.open(upper, _FOLDER)
    try:
        paths = [path.lstrip("/") for path in sorted(layer_packer.MADE_BY_LABKIT)]
        made = [path for path in paths if _is_empty(fd, path) and _find(path, below) is None]
        if _is_only_theirs(fd, made, below):
            made.append(ETC)
        looks = os.fstat(fd)
    finally:
        os.close(fd)
    if below and _look(os.stat(below[0])) == _look(looks):
        made.append(layer_packer.ROOT)
    return made


def _is_only_theirs(root: int, made: Collection[str], below: Sequence[str]) -> bool:
    """Whether the folder of mount points exists for these alone."""
    try:
        fd = os.open(ETC, _FOLDER, dir_fd=root)
    except OSError:
        return False
    try:
        names = os.listdir(fd)
        is_theirs = bool(names) and all(f"{ETC}/{name}" in made for name in names)
        old = _find(ETC, below)
        return is_theirs and (old is None or _look(old) == _look(os.fstat(fd)))
    finally:
        os.close(fd)


def is_empty(upper: str, left_out: Collection[str]) -> bool:
    """Whether a writable layer has nothing besides the parts to leave out."""
    return layer_packer.ROOT in left_out and set(os.listdir(upper)) <= set(left_out)


def remove(upper: str, left_out: Sequence[str]) -> None:
    """Remove from a writable layer the parts that were left out of its archive."""
    root = os.open(upper, _FOLDER)
    try:
        for path in left_out:
            if path != layer_packer.ROOT:
                _remove(root, path)
    finally:
        os.close(root)


def _remove(root: int, path: str) -> None:
    """Remove an empty folder or a file; the times of the folder above stay as they were."""
    above, name = os.path.split(path)
    folder = os.open(above or ".", _FOLDER, dir_fd=root)
    try:
        found = os.fstat(folder)
        if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
            os.rmdir(name, dir_fd=folder)
        else:
            os.unlink(name, dir_fd=folder)
        os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(folder)


def _look(found: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


def _is_empty(root: int, path: str) -> bool:
    """Whether there is an empty file or an empty folder at `path`, with no link on the way."""
    above, name = os.path.split(path)
    try:
        folder = os.open(above or ".", _FOLDER, dir_fd=root)
    except OSError:
        return False
    try:
        found = os.lstat(name, dir_fd=folder)
        if not stat.S_ISDIR(found.st_mode):
            return stat.S_ISREG(found.st_mode) and found.st_size == 0
        fd = os.open(name, _FOLDER, dir_fd=folder)
        try:
            return not os.listdir(fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return False
    finally:
        os.close(folder)


def _find(path: str, below: Sequence[str]) -> os.stat_result | None:
    """Return the image's file at `path`, from the topmost layer that has or hides it."""
    for layer in below:
        root = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = trees.open_in_root(root, f"/{path}")
        except OSError:
            continue
        finally:
            os.close(root)
        found = os.fstat(fd)
        os.close(fd)
        is_whiteout = stat.S_ISCHR(found.st_mode) and found.st_rdev == 0
        return None if is_whiteout else found
    return None
