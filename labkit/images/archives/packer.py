"""Writing a tree of files as a tar archive, by a process whose root is the tree.

Owners are numbers: libraries of the container would look up names.  Files may change while they are
read: one that shrinks is filled with zeros, one that is removed is left out.  Holes are written as
zeros, as `docker export` does, but at most as many as the disk has bytes.
"""

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from labkit.images.archives.heads import head
from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import CHUNK_BYTES, PATH_MAX_BYTES, XATTR
from labkit.kernel import overlay

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}
"""The kinds of file that tar has members for; a socket belongs to a process, and is left out."""
REPLACED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""A file, or a folder above it, was removed, or replaced by another kind, since it was listed."""
HOLES_MIN_BYTES = 1 << 30
"""Holes up to this size are written from every file system; some report no size (proc)."""
_UNIT = 512
"""The unit of `st_blocks`, on every file system."""


class Packer:
    """Writes an archive to a stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._written_bytes = 0
        self._waiting = bytearray()
        """The end of the archive so far: each write may wake the process that reads it."""
        self.size_bytes = 0
        """The sum of the files' sizes, each counted once."""
        self._holes_bytes = 0
        """The holes of the files so far: zeros that take no space on the disk."""
        self._first_names: dict[tuple[int, int], str] = {}
        """The name under which a file with several names was written, by device and inode."""

    def add_tree(self, path: str, name: str) -> None:
        """Add the file at `path`, and all below it, under the name `name`."""
        waiting = [(path, name)]
        while waiting:
            path, name = waiting.pop()
            check_length(path)
            if self.add(path, name):
                waiting.extend(children(path, name))

    def close(self) -> None:
        """Write the archive's end."""
        self._append(bytes(2 * tarfile.BLOCKSIZE))
        self._append(bytes(-self._written_bytes % tarfile.RECORDSIZE))
        self._stream.write(self._waiting)

    def add(self, path: str, name: str) -> bool:
        """Add one file; return whether it is a folder."""
        try:
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode):
                self._add_regular(path, name)
                return False
            member = self._member(path, name, found)
        except OSError as error:
            if error.errno not in REPLACED:
                raise
            return False
        if member is not None:
            self.write(member)
        return stat.S_ISDIR(found.st_mode)

    def _add_regular(self, path: str, name: str) -> None:
        # Check again after opening: another process may have put a pipe in its place.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb", buffering=0) as file:
            found = os.fstat(fd)
            member = self._member(path, name, found)
            if not stat.S_ISREG(found.st_mode) or member is None:
                return
            key = (found.st_dev, found.st_ino)
            if found.st_nlink > 1 and key in self._first_names:
                member.type, member.linkname, member.size = (
                    tarfile.LNKTYPE,
                    self._first_names[key],
                    0,
                )
                self.write(member)
                return
            if found.st_nlink > 1:
                self._first_names[key] = name
            self._count_holes(fd, name, found)
            self.size_bytes += member.size
            self.write(member, _Exactly(file))

    def _count_holes(self, fd: int, name: str, found: os.stat_result) -> None:
        """Raise BadArchiveError if the holes so far exceed the size of the file's disk.

        `truncate -s 8E` takes no time and no space, but writing its zeros would never end.
        """
        self._holes_bytes += max(0, found.st_size - found.st_blocks * _UNIT)
        disk = os.fstatvfs(fd)
        most = max(disk.f_blocks * disk.f_frsize, HOLES_MIN_BYTES)
        if self._holes_bytes > most:
            raise BadArchiveError(
                f"the file {name!r} of {found.st_size} bytes cannot be put in an archive: it is "
                f"sparse, and the holes of the files up to it have {self._holes_bytes} bytes, more "
                f"than their disk ({most}): remove it, or make it smaller (truncate -s)"
            )

    def _member(self, path: str, name: str, found: os.stat_result) -> tarfile.TarInfo | None:
        kind = stat.S_IFMT(found.st_mode)
        if kind not in _TYPES:
            return None
        member = tarfile.TarInfo(name)
        member.type = _TYPES[kind]
        member.mode = stat.S_IMODE(found.st_mode)
        member.uid, member.gid = found.st_uid, found.st_gid
        member.mtime = found.st_mtime_ns // 10**9
        headers = {}
        if found.st_mtime_ns % 10**9:
            seconds, fraction = divmod(abs(found.st_mtime_ns), 10**9)
            headers["mtime"] = f"{'-' if found.st_mtime_ns < 0 else ''}{seconds}.{fraction:09}"
        if kind == stat.S_IFREG:
            member.size = found.st_size
        elif kind == stat.S_IFLNK:
            member.linkname = os.readlink(path)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            member.devmajor, member.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
        for attribute, value in extended_attributes(path):
            headers[XATTR + attribute] = value.decode("utf-8", "surrogateescape")
        member.pax_headers = headers
        return member

    def write(self, member: tarfile.TarInfo, content: "_Exactly | None" = None) -> None:
        """Write a header, and the file's content."""
        self._append(head(member))
        if content is None:
            return
        left_bytes = member.size
        while left_bytes:
            piece = content.read(min(left_bytes, CHUNK_BYTES))
            self._append(piece)
            left_bytes -= len(piece)
        self._append(bytes(-member.size % tarfile.BLOCKSIZE))

    def _append(self, data: bytes) -> None:
        self._waiting += data
        self._written_bytes += len(data)
        if len(self._waiting) >= CHUNK_BYTES:
            self._stream.write(self._waiting)
            self._waiting = bytearray()


class _Exactly:
    """A file padded with zeros to the size in its header."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (part := self._file.read(count - len(data))):
            data += part
        return data.ljust(count, b"\0")


def warm_up() -> None:
    """Load every codec that tarfile needs, before the process is confined.

    A confined process can import nothing.
    """
    archive = io.BytesIO()
    with tarfile.open(mode="w|", fileobj=archive, format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("ä" * 200 + "\udcff")
        member.pax_headers = {"comment": "\udcff"}
        tar.addfile(member)
    archive.seek(0)
    with tarfile.open(mode="r|", fileobj=archive, errors="surrogateescape") as tar:
        tar.next()


def check_length(path: str) -> None:
    """Raise BadArchiveError for a path above PATH_MAX: no program could unpack it."""
    length = len(os.fsencode(path))
    if length > PATH_MAX_BYTES:
        raise BadArchiveError(
            f"the path {path[:100]!r}… has {length} bytes: in an archive it can have at most "
            f"{PATH_MAX_BYTES}"
        )


def children(path: str, name: str) -> list[tuple[str, str]]:
    """Return path and name of a folder's files, the last first, so that the first is popped first.

    The name of a root is "/" or empty, and so is the prefix of its children.
    """
    try:
        found = sorted(os.listdir(path), reverse=True)
    except OSError as error:
        if error.errno not in REPLACED:
            raise
        return []
    above = name if name in ("", "/") else f"{name}/"
    return [(os.path.join(path, child), f"{above}{child}") for child in found]


def extended_attributes(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the attributes of a file itself, except overlayfs's own; none if it has none."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return
    for name in names:
        if not name.startswith(overlay.ATTRIBUTES):
            try:
                yield name, os.getxattr(path, name, follow_symlinks=False)
            except OSError:
                continue
