"""Files to the client: a folder file by file, or an archive as bytes (`-o`).

In this direction the client sends the requests: labkit lists the files, with a number each, and
sends the content of those that the client requests.
"""

import tarfile
from collections.abc import Iterable

from labkit.build.context.archive import Archive, Node, below
from labkit.buildkit.messages import DATA, ERR, FIN, REQ, STAT, Packet, Stat
from labkit.errors import InvalidParameterError
from labkit.images.archives.reader import XATTR
from labkit.rpc.calls import Made
from labkit.rpc.tunnel import PIECE_BYTES, Piece

_GO_KINDS = {"folder": 1 << 31, "link": 1 << 27, "pipe": 1 << 25, "device": 1 << 26}
_CHARACTER_DEVICE = 1 << 21
_SPECIAL = ((0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20))
_STATS_AT_ONCE = 200


def send_bytes(call: Made, pieces: Iterable[bytes]) -> None:
    """Send an archive.  CallError, even if the client cannot write it."""
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), PIECE_BYTES):
            call.send(Piece(bytes(view[at : at + PIECE_BYTES])))
    call.send(end=True)
    while call.receive(Piece) is not None:
        pass


def send_folder(call: Made, archive: Archive) -> None:
    """Send every file of an archive.  CallError, InvalidParameterError."""
    numbered = _list(call, archive)
    while (packet := call.receive(Packet)) is not None:
        if packet.type == REQ:
            node = numbered.get(packet.id)
            if node is None:
                raise InvalidParameterError(f"the client asks for file {packet.id}: there is none")
            _send_content(call, packet.id, archive, node)
        elif packet.type == FIN:
            call.send(Packet(FIN), end=True)
        elif packet.type == ERR:
            raise InvalidParameterError(f"the client: {packet.data.decode('utf-8', 'replace')}")


def _list(call: Made, archive: Archive) -> dict[int, Node]:
    """Send the list of files, and return those that have content, by their numbers."""
    numbered: dict[int, Node] = {}
    names: dict[int, str] = {}
    waiting: list[Packet] = []
    for number, (name, node) in enumerate(below(archive.root)):
        first = names.setdefault(id(node), name)
        linked = first if first != name else ""
        waiting.append(Packet(STAT, _stat(name, node, linked)))
        if node.kind == "file" and not linked:
            numbered[number] = node
        if len(waiting) == _STATS_AT_ONCE:
            call.send(*waiting)
            waiting = []
    call.send(*waiting, Packet(STAT))
    return numbered


def _stat(name: str, node: Node, linked: str) -> Stat:
    member = node.member
    mode = member.mode & 0o777 | _GO_KINDS.get(node.kind, 0)
    for bit, meant in _SPECIAL:
        mode |= meant if member.mode & bit else 0
    if member.type == tarfile.CHRTYPE:
        mode |= _CHARACTER_DEVICE
    seconds = float(member.pax_headers.get("mtime", member.mtime))
    return Stat(
        path=_bytes(name),
        mode=mode,
        uid=member.uid,
        gid=member.gid,
        size=member.size if node.kind == "file" else 0,
        modified_ns=int(seconds * 1_000_000_000),
        linkname=_bytes(member.linkname if node.kind == "link" else linked),
        device_major=member.devmajor if node.kind == "device" else 0,
        device_minor=member.devminor if node.kind == "device" else 0,
        xattrs={
            key.removeprefix(XATTR): _bytes(value)
            for key, value in member.pax_headers.items()
            if key.startswith(XATTR)
        },
    )


def _send_content(call: Made, number: int, archive: Archive, node: Node) -> None:
    """Send a file's content; holes are sent as zeros."""
    at = 0
    stored = archive.stored(node)
    buffer = b""
    for offset, size in node.member.stored:
        _send_zeros(call, number, offset - at)
        left = size
        while left:
            buffer = buffer or next(stored)
            piece, buffer = buffer[: min(left, PIECE_BYTES)], buffer[min(left, PIECE_BYTES) :]
            call.send(Packet(DATA, id=number, data=piece))
            left -= len(piece)
        at = offset + size
    _send_zeros(call, number, node.member.size - at)
    call.send(Packet(DATA, id=number))


def _send_zeros(call: Made, number: int, count: int) -> None:
    while count > 0:
        piece = bytes(min(count, PIECE_BYTES))
        call.send(Packet(DATA, id=number, data=piece))
        count -= len(piece)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
