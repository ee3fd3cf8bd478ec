"""Files to copy from: a tar archive that is looked at, and never unpacked.

A build's context is a stranger's archive.  It is kept as one file without a name on the disk, and
what it holds is known by an index in memory: names, links and folders are followed in that index
alone, so that nothing in it can lead anywhere else.  The files of an image or a stage that COPY
--from reads come as such an archive too.
"""

import errno
import hashlib
import io
import os
import posixpath
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images.archives.compression import plain_chunks
from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import XATTR, ArchiveReader, Member, is_head
from labkit.images.archives.unpacker import inside
from labkit.images.layers import limit_bytes
from labkit.patterns import Patterns

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1 << 18
LINKS_MAX = 40
"""How many symbolic links one path may lead through, as in the kernel."""
HEADS_MAX_BYTES = 256 << 20
HEAD_BYTES = 512
"""About what a member takes in memory, its names aside."""
SPARSE_PIECE_BYTES = 128
MEMBERS_MAX = 400_000
"""More files than this are no context."""

_KINDS = {
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
    """One file of an archive: what it is, and where its content lies."""

    __slots__ = ("children", "content", "kind", "member")

    def __init__(self, member: Member) -> None:
        self.member = member
        self.kind = _KINDS[member.type]
        self.children: dict[str, Node] = {}
        self.content = ""
        """The SHA-256 of what it holds, once that has been asked for."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == "folder"


class Archive:
    """A tar archive's index; the file must be seekable and stay open."""

    def __init__(self, file: BinaryIO, *, devices: bool = False) -> None:
        """Read all headers.  InvalidParameterError for what is damaged or hostile.

        `devices`: whether there may be device files, as an image has them and a context has not.
        """
        self._file = file
        self._lock = threading.Lock()  # stages side by side read the same context
        self._devices = devices
        self._size_bytes = _fill_last_block(file)
        self.root = _folder("")
        try:
            self._read(ArchiveReader(file, size_bytes=self._size_bytes))
        except BadArchiveError as error:
            raise InvalidParameterError(f"the archive is refused: {error}") from None

    def _read(self, reader: ArchiveReader) -> None:
        heads_bytes = count = 0
        while (member := reader.next()) is not None:
            count += 1
            heads_bytes += HEAD_BYTES + len(member.name) + len(member.linkname)
            heads_bytes += sum(map(len, member.pax_headers.values()))
            heads_bytes += SPARSE_PIECE_BYTES * len(member.stored)
            if count > MEMBERS_MAX or heads_bytes > HEADS_MAX_BYTES:
                raise BadArchiveError(
                    f"it has more than {MEMBERS_MAX} files, or their names and attributes take "
                    f"more than {HEADS_MAX_BYTES >> 20} MiB"
                )
            self._add(member)

    def _add(self, member: Member) -> None:
        parts = inside(member.name).strip("/").split("/")
        if member.type not in _KINDS and not member.islnk():
            raise BadArchiveError(f"{member.name!r}: members of type {member.type!r} are not known")
        if parts == [""]:
            return
        folder = self.root
        for part in parts[:-1]:
            folder = folder.children.setdefault(part, _folder(part))
            if not folder.is_folder:
                raise BadArchiveError(f"{member.name!r} lies behind {part!r}, which is no folder")
        node = self._linked(member) if member.islnk() else Node(member)
        if node.kind == "device" and not self._devices:
            raise BadArchiveError(f"{member.name!r} is a device: a build's context has none")
        before = folder.children.get(parts[-1])
        if before is not None and before.is_folder and node.is_folder:
            node.children = before.children
        folder.children[parts[-1]] = node

    def _linked(self, member: Member) -> Node:
        """The file that a hard link is another name of."""
        node = self.root
        for part in inside(member.linkname).strip("/").split("/"):
            found = node.children.get(part)
            if found is None:
                raise BadArchiveError(
                    f"{member.name!r} is a hard link to {member.linkname!r}, which is not there"
                )
            node = found
        if node.is_folder:
            raise BadArchiveError(f"{member.name!r} is a hard link to a folder")
        return node

    # Looking

    def find(self, path: str) -> Node:
        """What is at a path, links followed within the archive; NotFoundError."""
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
        left = sum(size for _, size in node.member.stored)
        at = node.member.offset_data
        while left:
            with self._lock:
                self._file.seek(at)
                piece = self._file.read(min(left, CHUNK_BYTES))
            if not piece:
                raise LabkitError("the archive to copy from was cut short")
            yield piece
            at, left = at + len(piece), left - len(piece)

    def open(self, node: Node) -> BinaryIO:
        """What is stored of a file's content as a file of its own."""
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


def receive(chunks: Iterable[bytes], folder: str, *, devices: bool = False) -> Archive:
    """Keep a plain archive in a file without a name in `folder`, and index it."""
    file = tempfile.TemporaryFile(dir=folder)
    try:
        left_bytes = limit_bytes(folder)
        for chunk in chunks:
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            file.write(chunk)
        return Archive(file, devices=devices)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabkitError(
                f"the files to copy from do not fit in {folder}: {error.strerror}. Make room "
                "there, or send less (.dockerignore)"
            ) from None
        raise


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


def _fill_last_block(file: BinaryIO) -> int:
    """How long the archive is as it came; what its last block lacks is then filled in.

    Docker's command ends the archive right after the last file when the Dockerfile comes from
    elsewhere than the context (`docker build -f - .`).
    """
    size_bytes = file.seek(0, os.SEEK_END)
    file.write(bytes(-size_bytes % tarfile.BLOCKSIZE))
    file.seek(0)
    return size_bytes


def of_file(name: str, data: bytes) -> Archive:
    """An archive with one file: a Dockerfile that came alone, say."""
    file = tempfile.SpooledTemporaryFile(max_size=CHUNK_BYTES)
    member = Member(name)
    member.size, member.mtime = len(data), int(time.time())
    file.write(member.tobuf(tarfile.PAX_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0"))
    file.write(bytes(2 * tarfile.BLOCKSIZE))
    return Archive(file)  # type: ignore[arg-type]  # it reads and seeks


def is_archive(stream: BinaryIO) -> bool:
    """Whether it is a tar archive, compressed or not: what its first header says."""
    start = b""
    try:
        for piece in plain_chunks(stream, tarfile.BLOCKSIZE):
            start += piece
            if len(start) >= tarfile.BLOCKSIZE:
                break
    except (InvalidParameterError, OSError):
        return False
    return is_head(start[: tarfile.BLOCKSIZE])


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


def _folder(name: str) -> Node:
    """A folder the archive does not name itself."""
    member = Member(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return Node(member)
