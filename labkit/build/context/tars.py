"""Tar archives as files to copy from: a context that a client sent, the files of an image.

COPY --from reads an image or a stage in this form too.
"""

import errno
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable
from typing import BinaryIO

from labkit.build.context.archive import (
    HEADS_MAX_BYTES,
    KINDS,
    MEMBERS_MAX,
    Archive,
    Node,
    folder_node,
)
from labkit.errors import InvalidParameterError, LabkitError
from labkit.images.archives.compression import plain_chunks
from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import ArchiveReader, Member, is_head
from labkit.images.archives.unpacker import inside
from labkit.images.layers import limit_bytes

HEAD_BYTES = 512
"""About what a member takes in memory, its names aside."""
SPARSE_PIECE_BYTES = 128


def of_tar(file: BinaryIO, *, devices: bool = False) -> Archive:
    """Index a tar archive.  InvalidParameterError for a damaged or hostile one.

    `devices`: whether there may be device files, as an image has them and a context has not.
    """
    size_bytes = _fill_last_block(file)
    index = _TarIndex(devices=devices)
    try:
        index.read(ArchiveReader(file, size_bytes=size_bytes))
    except BadArchiveError as error:
        raise InvalidParameterError(f"the archive is refused: {error}") from None
    return Archive(file, index.root)


class _TarIndex:
    """Reads a tar archive's headers into an index."""

    def __init__(self, *, devices: bool) -> None:
        self._devices = devices
        self.root = folder_node("")

    def read(self, reader: ArchiveReader) -> None:
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
        if member.type not in KINDS and not member.islnk():
            raise BadArchiveError(f"{member.name!r}: members of type {member.type!r} are not known")
        if parts == [""]:
            return
        folder = self.root
        for part in parts[:-1]:
            folder = folder.children.setdefault(part, folder_node(part))
            if not folder.is_folder:
                raise BadArchiveError(f"{member.name!r} is below {part!r}, which is not a folder")
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
        return of_tar(file, devices=devices)
    except BaseException as error:
        file.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabkitError(
                f"the files to copy from do not fit in {folder}: {error.strerror}. Make room "
                "there, or send less (.dockerignore)"
            ) from None
        raise


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
    file = io.BytesIO()
    member = Member(name)
    member.size, member.mtime = len(data), int(time.time())
    file.write(member.tobuf(tarfile.PAX_FORMAT) + data.ljust(-(-len(data) // 512) * 512, b"\0"))
    file.write(bytes(2 * tarfile.BLOCKSIZE))
    return of_tar(file)


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
