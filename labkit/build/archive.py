"""Files to copy from: a tar archive that is looked at, and never unpacked.

A build's context is a stranger's archive.  It is kept as one file without a name on the disk, and
what it holds is known by an index in memory: names, links and folders are followed in that index
alone, so that nothing in it can lead anywhere else.  The files of an image or a stage that COPY
--from reads come as such an archive too.
"""

import errno
import hashlib
import os
import posixpath
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images.compression import plain_chunks
from labkit.images.unpacker import XATTR, BadArchiveError, StrictTarInfo, inside
from labkit.patterns import Patterns

CHUNK_BYTES = 1 << 18
LINKS_MAX = 40
MEMBERS_MAX = 1_000_000
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

    def __init__(self, member: tarfile.TarInfo) -> None:
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
        self._devices = devices
        self._size_bytes = _fill_last_block(file)
        self.root = _folder("")
        try:
            self._tar = tarfile.open(
                fileobj=file,
                mode="r:",
                tarinfo=StrictTarInfo,
                encoding="utf-8",
                errors="surrogateescape",
            )
            for count, member in enumerate(self._tar):
                if count >= MEMBERS_MAX:
                    raise BadArchiveError(f"it has more than {MEMBERS_MAX} files")
                self._add(member)
        except (BadArchiveError, tarfile.TarError, OverflowError, ValueError) as error:
            raise InvalidParameterError(f"the archive is refused: {error}") from None

    def _add(self, member: tarfile.TarInfo) -> None:
        parts = inside(member.name).strip("/").split("/")
        if member.type not in _KINDS and not member.islnk():
            raise BadArchiveError(f"{member.name!r}: members of type {member.type!r} are not known")
        if member.isreg() and not member.issparse():
            missing = member.offset_data + member.size - self._size_bytes
            if missing > 0:
                raise BadArchiveError(f"{member.name!r} ends {missing} bytes too early")
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

    def _linked(self, member: tarfile.TarInfo) -> Node:
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
        return self._follow(path.split("/"), [self.root], LINKS_MAX)[-1]

    def _follow(self, parts: list[str], trail: list[Node], left: int) -> list[Node]:
        """The way along `parts` from the end of `trail`: every node from the root on."""
        for part in parts:
            if part in ("", "."):
                continue
            if part == "..":
                trail = trail[:-1] or trail
                continue
            node = trail[-1].children.get(part)
            if node is None:
                raise NotFoundError(part)
            if node.kind == "link":
                if not left:
                    raise InvalidParameterError(f"too many symbolic links at {part}")
                target = node.member.linkname
                start = [self.root] if target.startswith("/") else trail
                trail = self._follow(target.split("/"), start, left - 1)
                left -= 1
            else:
                trail = [*trail, node]
        return trail

    def read(self, node: Node, limit_bytes: int) -> bytes:
        """A small file's content; InvalidParameterError if it is larger than the limit."""
        if node.kind != "file":
            raise InvalidParameterError(f"{node.member.name} is a {node.kind}, and no file")
        if node.member.size > limit_bytes:
            raise InvalidParameterError(
                f"{node.member.name} has {node.member.size} bytes, and may have {limit_bytes}"
            )
        return b"".join(self.chunks(node))

    def chunks(self, node: Node) -> Iterator[bytes]:
        """A file's content in pieces."""
        source = self._tar.extractfile(node.member)
        while source is not None and (piece := source.read(CHUNK_BYTES)):
            yield piece

    def open(self, node: Node) -> BinaryIO:
        """A file's content as a file of its own that can be sought in."""
        source = self._tar.extractfile(node.member)
        assert source is not None  # noqa: S101 the caller has looked
        return source  # type: ignore[return-value]

    def digest(self, node: Node) -> str:
        """The SHA-256 of what matters of one file for a cache: everything but its times and name.

        A folder's content is not in it.
        """
        if node.kind == "file" and not node.content:
            content = hashlib.sha256()
            for piece in self.chunks(node):
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
        _exclude(self.root, "", ignored)

    def close(self) -> None:
        """Close the archive's file."""
        self._tar.close()
        self._file.close()


def receive(chunks: Iterable[bytes], folder: str, *, devices: bool = False) -> Archive:
    """Keep a plain archive in a file without a name in `folder`, and index it."""
    file = tempfile.TemporaryFile(dir=folder)
    try:
        file.writelines(chunks)
        return Archive(file, devices=devices)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabkitError(
                f"the files to copy from do not fit in {folder}: {error.strerror}. Make room "
                "there, or send less (.dockerignore)"
            ) from None
        raise


def _exclude(folder: Node, above: str, ignored: Patterns) -> None:
    for name, node in list(folder.children.items()):
        _exclude(node, f"{above}{name}/", ignored)
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
    member = tarfile.TarInfo(name)
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
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.TarError, InvalidParameterError, OSError):
        return False
    return True


def attributes(member: tarfile.TarInfo) -> dict[str, str]:
    """The PAX headers that stand for extended attributes."""
    return {key: value for key, value in member.pax_headers.items() if key.startswith(XATTR)}


def below(node: Node, name: str = "") -> Iterator[tuple[str, Node]]:
    """Everything below a folder, by name: paths from the folder on, a folder before its content."""
    for child in sorted(node.children):
        found = node.children[child]
        path = f"{name}{child}"
        yield path, found
        yield from below(found, f"{path}/")


def _folder(name: str) -> Node:
    """A folder the archive does not name itself."""
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return Node(member)
