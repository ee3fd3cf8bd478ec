"""Files to copy from: an index that is looked at, and nothing that is unpacked.

A build's context is a stranger's.  It is kept as one file without a name on the disk, and what it
holds is known by an index in memory: names, links and folders are followed in that index alone, so
that nothing in it can lead anywhere else.  It comes as a tar archive (`tars` beside this file), or
file by file (`labkit.buildkit.receiving`).
"""

import hashlib
import io
import os
import posixpath
import tarfile
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images.archives.reader import XATTR, Member
from labkit.patterns import Patterns

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1 << 18
HEADS_MAX_BYTES = 256 << 20
MEMBERS_MAX = 400_000
"""More files than this are no context."""
LINKS_MAX = 40
"""How many symbolic links one path may lead through, as in the kernel."""

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.CONTTYPE: "file",
    tarfile.GNUTYPE_SPARSE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "link",
    tarfile.FIFOTYPE: "pipe",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}


class Node:
    """One file of an archive: its kind, and the place of its content."""

    __slots__ = ("children", "content", "extents", "kind", "member")

    def __init__(self, member: Member) -> None:
        self.member = member
        self.kind = KINDS[member.type]
        self.children: dict[str, Node] = {}
        self.content = ""
        """The SHA-256 of what it holds, once that has been asked for."""
        self.extents: list[tuple[int, int]] | None = None
        """The places of its content, if that is in several pieces: offsets and sizes."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == "folder"


class Archive:
    """Files to look at: an index of them, and the file that holds their content.

    The file must be seekable and stay open.
    """

    def __init__(self, file: BinaryIO, root: Node) -> None:
        self._file = file
        self._lock = threading.Lock()  # stages side by side read the same context
        try:
            self._fd: int | None = file.fileno()
        except OSError:
            self._fd = None  # it is in memory
        self.root = root

    # Looking

    def find(self, path: str) -> Node:
        """Return the entry at a path, links followed within the archive; NotFoundError."""
        trail, links = [self.root], 0
        waiting = path.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                trail = trail[:-1] or trail
                continue
            node = trail[-1].children.get(part)
            if node is None:
                raise NotFoundError(part)
            if node.kind != "link":
                trail.append(node)
                continue
            links += 1
            if links > LINKS_MAX:
                raise InvalidParameterError(f"too many symbolic links at {part}")
            target = node.member.linkname
            trail = [self.root] if target.startswith("/") else trail
            waiting += target.split("/")[::-1]
        return trail[-1]

    def read(self, node: Node, limit_bytes: int) -> bytes:
        """A small file's content; InvalidParameterError if it is larger than the limit."""
        if node.kind != "file":
            raise InvalidParameterError(f"{node.member.name} is a {node.kind}, and no file")
        if node.member.size > limit_bytes:
            raise InvalidParameterError(
                f"{node.member.name} has {node.member.size} bytes, and may have {limit_bytes}"
            )
        content = bytearray(node.member.size)
        stored = b"".join(self.stored(node))
        for offset, size in node.member.stored:
            content[offset : offset + size], stored = stored[:size], stored[size:]
        return bytes(content)

    def stored(self, node: Node) -> Iterator[bytes]:
        """A file's content in pieces; of a sparse file what is not holes."""
        extents = node.extents
        if extents is None:
            extents = [(node.member.offset_data, sum(size for _, size in node.member.stored))]
        for start, size in extents:
            at, left = start, size
            while left:
                piece = self._read_at(at, min(left, CHUNK_BYTES))
                if not piece:
                    raise LabkitError("the archive to copy from was cut short")
                yield piece
                at, left = at + len(piece), left - len(piece)

    def _read_at(self, at: int, count: int) -> bytes:
        if self._fd is not None:
            return os.pread(self._fd, count, at)
        with self._lock:
            self._file.seek(at)
            return self._file.read(count)

    def open(self, node: Node) -> BinaryIO:
        """Open the stored bytes of a file as a separate file."""
        return cast("BinaryIO", io.BufferedReader(_Content(self.stored(node)), CHUNK_BYTES))

    def digest(self, node: Node) -> str:
        """The SHA-256 of what matters of one file for a cache: everything but its times and name.

        A folder's content is not in it.
        """
        if node.kind == "file" and not node.content:
            content = hashlib.sha256()
            if node.member.issparse():
                content.update(repr((node.member.size, node.member.stored)).encode())
            for piece in self.stored(node):
                content.update(piece)
            node.content = content.hexdigest()
        member = node.member
        facts = (
            node.kind,
            member.mode & 0o7777,
            member.uid,
            member.gid,
            member.linkname if node.kind == "link" else "",
            (member.devmajor, member.devminor) if node.kind == "device" else "",
            node.content,
            sorted(attributes(member).items()),
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def remove(self, path: str) -> None:
        """Forget a file of the archive, if it is there."""
        folder, name = posixpath.split(path)
        try:
            self.find(folder).children.pop(name, None)
        except NotFoundError:
            return

    def exclude(self, ignored: Patterns) -> None:
        """Forget the files that patterns match, and folders that have nothing else in them."""
        _exclude(self.root, ignored)

    def close(self) -> None:
        """Close the archive's file."""
        self._file.close()


class _Content(io.RawIOBase):
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        target = memoryview(buffer)
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _exclude(root: Node, ignored: Patterns) -> None:
    folders = [("", root), *((f"{path}/", node) for path, node in below(root) if node.is_folder)]
    for above, folder in reversed(folders):  # the deepest first: a folder may be empty by then
        for name, node in list(folder.children.items()):
            if not node.children and ignored.match(f"{above}{name}"):
                del folder.children[name]


def attributes(member: Member) -> dict[str, str]:
    """The PAX headers that stand for extended attributes."""
    return {key: value for key, value in member.pax_headers.items() if key.startswith(XATTR)}


def below(node: Node, name: str = "") -> Iterator[tuple[str, Node]]:
    """Everything below a folder, by name: paths from the folder on, a folder before its content."""
    waiting = [(f"{name}{child}", node.children[child]) for child in sorted(node.children)[::-1]]
    while waiting:
        path, found = waiting.pop()
        yield path, found
        waiting += [
            (f"{path}/{child}", found.children[child]) for child in sorted(found.children)[::-1]
        ]


def folder_node(name: str) -> Node:
    """A folder that the sender does not name itself."""
    member = Member(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return Node(member)
