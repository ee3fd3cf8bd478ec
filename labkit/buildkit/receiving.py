"""A folder from the client: names first, then the requested content.

The client lists the folder's files (STAT), each with a number; labkit asks for the content of some
(REQ), and it arrives in pieces (DATA), of up to four files by turns.  Both end with FIN.

Names and sizes are untrusted.  No file of the host gets such a name: all content is written to one
file without a name, piece after piece, and the index knows the pieces of each file.  A file that is
longer or shorter than announced is accepted as it arrived.  Source: github.com/tonistiigi/fsutil
(`send.go`, `receive.go`), and Go's `fs.FileMode` for the modes.
"""

import hashlib
import os
import tarfile
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.build.context.archive import HEADS_MAX_BYTES, MEMBERS_MAX, Node, folder_node
from labkit.buildkit.messages import DATA, ERR, FIN, REQ, STAT, Packet, Stat
from labkit.errors import InvalidParameterError, LabkitError
from labkit.images.archives.reader import PATH_MAX_BYTES, XATTR, Member
from labkit.images.layers import limit_bytes
from labkit.rpc.calls import Made

ASKED_MAX = 1000
"""How many files may be requested at once: more would fill the client's receive window, and the
client would wait with its answers until labkit reads, and labkit until the client reads."""
WRITE_BYTES = 256 << 10

_FOLDER, _LINK, _DEVICE, _PIPE, _SOCKET = 1 << 31, 1 << 27, 1 << 26, 1 << 25, 1 << 24
_SET_USER, _SET_GROUP, _STICKY = 1 << 23, 1 << 22, 1 << 20
_KNOWN = _FOLDER | _LINK | _PIPE | _SET_USER | _SET_GROUP | _STICKY | 0o777

Facts = tuple[int, int, int, bytes, tuple[tuple[str, bytes], ...]]
"""The facts that show whether a file is unchanged: mode, size, time, link, attributes."""


class Known(NamedTuple):
    """A file that an earlier build has received."""

    facts: Facts
    node: Node


class ContentFile:
    """The file without a name that holds content: pieces are appended."""

    def __init__(self, fd: int, folder: str, size_bytes: int = 0) -> None:
        """Append to `fd` from `size_bytes` on; `folder` is the place of the file."""
        self._fd = fd
        self._folder = folder
        self._buffer = bytearray()
        self._left_bytes = limit_bytes(folder)
        self.size_bytes = size_bytes

    def append(self, data: bytes) -> int:
        """Add a piece; return its position.  LabkitError if the disk is full."""
        at = self.size_bytes
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise LabkitError(
                f"the files to copy from do not fit in {self._folder}: No space left on device. "
                "Make room there, or send less (.dockerignore)"
            )
        self._buffer += data
        self.size_bytes += len(data)
        if len(self._buffer) >= WRITE_BYTES:
            self.flush()
        return at

    def flush(self) -> None:
        """Write the data that is still in memory."""
        at = self.size_bytes - len(self._buffer)
        view = memoryview(bytes(self._buffer))
        self._buffer.clear()
        while view:
            written = os.pwrite(self._fd, view, at)
            view, at = view[written:], at + written


class _Arriving:
    """A file whose content is arriving."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.sum = hashlib.sha256()
        self.size_bytes = 0
        self.extents: list[tuple[int, int]] = []
        node.extents = self.extents

    def take(self, data: bytes, at: int) -> None:
        self.sum.update(data)
        self.size_bytes += len(data)
        start, size = self.extents[-1] if self.extents else (0, 0)
        if self.extents and start + size == at:
            self.extents[-1] = start, size + len(data)
        else:
            self.extents.append((at, len(data)))

    def done(self) -> None:
        self.node.content = self.sum.hexdigest()
        self.node.member.size = self.size_bytes


class Receiver:
    """Receives one folder on a call of `FileSync/DiffCopy`."""

    def __init__(
        self,
        call: Made,
        content: ContentFile,
        known: Mapping[bytes, Known],
        moved: Callable[[int], None],
    ) -> None:
        """`known`: files that need not be sent again; `moved` is called with the bytes received."""
        self._call = call
        self._content = content
        self._known = known
        self._moved = moved
        self.root = folder_node("")
        self.found: dict[bytes, Known] = {}
        """All files, for the next build."""
        self.moved_bytes = 0
        self._count = 0
        self._heads_bytes = 0
        self._to_ask: deque[tuple[int, Node]] = deque()
        self._arriving: dict[int, _Arriving] = {}
        self._is_listed = False

    def receive(self) -> None:
        """Receive everything.  InvalidParameterError for an impossible folder; CallError."""
        has_said_fin = False
        while (data := self._call.receive(Packet)) is not None:
            if data.type == FIN:
                break
            self.moved_bytes += len(data.data)
            self._take(data)
            if not self._call.has_more:
                self._moved(self.moved_bytes)
                self._ask()
            if self._is_over and not has_said_fin:
                has_said_fin = True
                self._call.send(Packet(FIN), end=True)
        if not self._is_over:
            raise InvalidParameterError("the client ended the transfer before it had sent all")
        self._content.flush()
        self._moved(self.moved_bytes)

    @property
    def _is_over(self) -> bool:
        return self._is_listed and not self._to_ask and not self._arriving

    def _ask(self) -> None:
        """Ask for the next files."""
        asked: list[Packet] = []
        while self._to_ask and len(self._arriving) < ASKED_MAX:
            number, node = self._to_ask.popleft()
            self._arriving[number] = _Arriving(node)
            asked.append(Packet(REQ, id=number))
        if asked:
            self._call.send(*asked)

    def _take(self, packet: Packet) -> None:
        if packet.type == STAT:
            if packet.stat is None:
                self._is_listed = True
            elif self._is_listed:
                raise InvalidParameterError("the client lists a file after the list's end")
            else:
                self._add(packet.stat)
        elif packet.type == DATA:
            self._add_data(packet)
        elif packet.type == ERR:
            raise InvalidParameterError(f"the client: {packet.data.decode('utf-8', 'replace')}")
        else:
            raise InvalidParameterError(f"a packet of type {packet.type} is not allowed here")
        if self._is_listed and not self._call.has_more:
            self._ask()

    def _add_data(self, packet: Packet) -> None:
        arriving = self._arriving.get(packet.id)
        if arriving is None:
            raise InvalidParameterError(
                f"the client sends file {packet.id}, which nothing asked for"
            )
        if packet.data:
            arriving.take(packet.data, self._content.append(packet.data))
        else:
            arriving.done()
            del self._arriving[packet.id]

    def _add(self, stat: Stat) -> None:
        number = self._count
        self._count += 1
        self._heads_bytes += 512 + len(stat.path) + len(stat.linkname)
        self._heads_bytes += sum(len(name) + len(value) for name, value in stat.xattrs.items())
        if self._count > MEMBERS_MAX or self._heads_bytes > HEADS_MAX_BYTES:
            raise InvalidParameterError(
                f"the context has more than {MEMBERS_MAX} files, or their names and attributes "
                f"take more than {HEADS_MAX_BYTES >> 20} MiB: leave some out (.dockerignore)"
            )
        folder, name = self._place(stat.path)
        node = self._node(stat, name, number)
        folder.children[name] = node

    def _place(self, path: bytes) -> tuple[Node, str]:
        """Return the folder of a file, and its name there."""
        shown = path[:200].decode("utf-8", "replace")
        if b"\0" in path or len(path) > PATH_MAX_BYTES:
            raise InvalidParameterError(f"{shown!r} is not a possible path of a file")
        *parents, name = path.decode("utf-8", "surrogateescape").split("/")
        folder = self.root
        for part in parents:
            found = folder.children.get(part)
            if found is None or not found.is_folder:
                raise InvalidParameterError(f"{shown!r} is in no folder that was sent")
            folder = found
        if name in ("", ".", "..") or name in folder.children:
            raise InvalidParameterError(
                f"{shown!r} cannot be sent: no name, or one that its folder has already"
            )
        return folder, name

    def _node(self, stat: Stat, name: str, number: int) -> Node:
        kind = _kind(stat)
        if kind == tarfile.REGTYPE and stat.linkname:
            return self._linked(stat)
        facts = stat.mode, stat.size, stat.modified_ns, stat.linkname, _attributes(stat)
        before = self._known.get(stat.path)
        if before is not None and before.facts == facts:
            # Only its content is reused: as a folder it has other children now.
            node = Node(before.node.member)
            node.content, node.extents = before.node.content, before.node.extents
        else:
            node = Node(_member(stat, name, kind))
            if kind == tarfile.REGTYPE:
                self._to_ask.append((number, node))
        self.found[stat.path] = Known(facts, node)
        return node

    def _linked(self, stat: Stat) -> Node:
        """Return the file of which a hard link is another name."""
        first = self.found.get(stat.linkname)
        if first is None or first.node.kind != "file":
            raise InvalidParameterError(
                f"{stat.path[:200].decode('utf-8', 'replace')!r} is a hard link to a file that was "
                "not sent"
            )
        return first.node


def _kind(stat: Stat) -> bytes:
    """Return the type of a file, in the form of an archive."""
    mode = stat.mode
    if mode & _DEVICE or mode & ~_KNOWN & 0xFFFFFFFF & ~_SOCKET:
        raise InvalidParameterError(
            f"{stat.path[:200].decode('utf-8', 'replace')!r} is a device, or of an unknown kind: "
            "a build's context has none"
        )
    if mode & _FOLDER:
        return tarfile.DIRTYPE
    if mode & _LINK:
        return tarfile.SYMTYPE
    return tarfile.FIFOTYPE if mode & _PIPE else tarfile.REGTYPE


def _member(stat: Stat, name: str, kind: bytes) -> Member:
    member = Member(name)
    member.type = kind
    member.mode = stat.mode & 0o777
    for bit, meant in ((_SET_USER, 0o4000), (_SET_GROUP, 0o2000), (_STICKY, 0o1000)):
        member.mode |= meant if stat.mode & bit else 0
    seconds, nanos = divmod(stat.modified_ns, 1_000_000_000)
    member.mtime = seconds
    member.pax_headers = {f"{XATTR}{key}": value for key, value in _text_attributes(stat)}
    if nanos:
        member.pax_headers["mtime"] = f"{seconds}.{nanos:09}"
    if kind == tarfile.SYMTYPE:
        if not stat.linkname or b"\0" in stat.linkname or len(stat.linkname) > PATH_MAX_BYTES:
            raise InvalidParameterError(f"{name!r} is a link to an impossible path")
        member.linkname = stat.linkname.decode("utf-8", "surrogateescape")
    return member


def _attributes(stat: Stat) -> tuple[tuple[str, bytes], ...]:
    return tuple(sorted(stat.xattrs.items()))


def _text_attributes(stat: Stat) -> list[tuple[str, str]]:
    """Return extended attributes in the form of an archive's headers."""
    return [(key, value.decode("utf-8", "surrogateescape")) for key, value in _attributes(stat)]
