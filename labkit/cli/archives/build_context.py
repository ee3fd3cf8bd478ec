"""A build's context as `labkit build` sends it: a folder, or the data on stdin, as an archive."""

import io
import os
import stat
import sys

from labkit.cli.archives import tar_header
from labkit.cli.archives.tar_header import BLOCK_BYTES, Member, header
from labkit.errors import InvalidParameterError
from labkit.patterns import Patterns, read_ignore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

READ_BYTES = 256 * 1024
IGNORE_FILE = ".dockerignore"
OUTSIDE = ".dockerfile.labkit"
"""The name, in the context, of a Dockerfile that is outside of it."""
CAPABILITY = "security.capability"
END = bytes(2 * BLOCK_BYTES)
_COMPRESSED = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_KINDS = {
    stat.S_IFREG: tar_header.FILE,
    stat.S_IFDIR: tar_header.FOLDER,
    stat.S_IFLNK: tar_header.LINK,
    stat.S_IFIFO: tar_header.PIPE,
}
_REMOTE = ("http://", "https://", "git://", "git@", "github.com/")


def is_remote(source: str) -> bool:
    """Whether the daemon fetches the context."""
    return source.startswith(_REMOTE)


class Context:
    """The context to send: its pieces, and the Dockerfile's name in it.

    `path` is the user's name for the Dockerfile, if it is elsewhere.
    """

    def __init__(self, pieces: "Iterator[bytes]", dockerfile: str, path: str = "") -> None:
        self.pieces = pieces
        self.dockerfile = dockerfile
        self.path = path


def of_folder(folder: str, file: str) -> Context:
    """Return a folder's files except those that `.dockerignore` names; InvalidParameterError.

    `file` is the Dockerfile, empty for the one in the folder, `-` for stdin.
    """
    if not os.path.isdir(folder):
        why = "not a directory" if os.path.exists(folder) else "no such directory"
        raise InvalidParameterError(f'unable to prepare context: path "{folder}": {why}')
    extra: dict[str, bytes] = {}
    name = file or "Dockerfile"
    if file == "-":
        extra[OUTSIDE] = sys.stdin.buffer.read()
        name = OUTSIDE
    else:
        path = file or os.path.join(folder, name)
        inside = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
        if inside.startswith("../"):
            extra[OUTSIDE] = _read(path)
            inside = OUTSIDE
        elif not os.path.exists(path):
            raise InvalidParameterError(
                f"unable to evaluate Dockerfile path: {path} does not exist"
            )
        name = inside
    ignore = _ignored(folder, path if file != "-" else "")
    packed = _packed(folder, ignore, {name, IGNORE_FILE}, extra)
    outside = file if name == OUTSIDE else ""
    return Context(_gathered(packed), name, "Dockerfile" if outside == "-" else outside)


def of_named_folder(folder: str) -> "Callable[[], Iterator[bytes]]":
    """Return a function that packs a folder except for the files that its ignore file names.

    InvalidParameterError.
    """
    if not os.path.isdir(folder):
        why = "not a directory" if os.path.exists(folder) else "no such directory"
        raise InvalidParameterError(f'unable to prepare context: path "{folder}": {why}')
    ignore = _ignored(folder, "")
    return lambda: _gathered(_packed(folder, ignore, set(), {}))


def of_stdin(file: str) -> Context:
    """Return the context on stdin: an archive, or just a Dockerfile."""
    stream = io.BufferedReader(io.FileIO(0, closefd=False), READ_BYTES)
    start = stream.peek(BLOCK_BYTES)
    if start.startswith(_COMPRESSED) or _is_archive(start):
        return Context(_pieces(stream), file or "Dockerfile")
    if file:
        raise InvalidParameterError("stdin can hold the Dockerfile (-f -) or the context, not both")
    return Context(_packed("", Patterns([]), set(), {"Dockerfile": stream.read()}), "Dockerfile")


def _is_archive(start: bytes) -> bool:
    import tarfile  # noqa: PLC0415 costly, and needed for stdin alone

    try:
        tarfile.TarInfo.frombuf(start[:BLOCK_BYTES], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _ignored(folder: str, dockerfile: str) -> Patterns:
    """Return the patterns of `NAME.dockerignore` beside the Dockerfile, or of the folder's own."""
    for path in (f"{dockerfile}{IGNORE_FILE}" if dockerfile else "", f"{folder}/{IGNORE_FILE}"):
        if path and os.path.exists(path):
            return Patterns(read_ignore(_read(path).decode("utf-8", "replace")))
    return Patterns([])


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidParameterError(f"cannot read {path}: {error.strerror}") from error


def _packed(
    folder: str, ignored: Patterns, kept: set[str], extra: "dict[str, bytes]"
) -> "Iterator[bytes]":
    for name, data in extra.items():
        member = Member(name, size_bytes=len(data))
        yield header(member) + data + bytes(-len(data) % BLOCK_BYTES)
    names: dict[tuple[int, int], str] = {}
    if folder:
        for path, name in _walk(folder, "", ignored, kept):
            try:
                yield from _member(path, name, names)
            except OSError as error:
                raise InvalidParameterError(f"cannot read {path}: {error.strerror}") from error
    yield END


def _walk(
    folder: str, above: str, ignored: Patterns, kept: set[str]
) -> "Iterator[tuple[str, str]]":
    """Yield paths and names; an ignored folder is searched for files that are kept."""
    try:
        found = sorted(os.listdir(folder))
    except OSError as error:
        raise InvalidParameterError(f"cannot read {folder}: {error.strerror}") from error
    for child in found:
        name, path = f"{above}{child}", f"{folder}/{child}"
        is_out = name not in kept and ignored.match(name)
        if not is_out:
            yield path, name
        if os.path.isdir(path) and not os.path.islink(path):
            holds_kept = any(one.startswith(f"{name}/") for one in kept)
            if not is_out or holds_kept or ignored.may_match_within(name):
                yield from _walk(path, f"{name}/", ignored, kept)


def _member(path: str, name: str, names: "dict[tuple[int, int], str]") -> "Iterator[bytes]":
    """Yield a file's header and content; root owns all files, as in Docker's own command."""
    found = os.lstat(path)
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return  # a socket or a device
    member = Member(name, kind)
    member.mode, member.mtime_s = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    if kind == tar_header.LINK:
        member.target = os.readlink(path)
    first = names.setdefault((found.st_dev, found.st_ino), name)
    if kind == tar_header.FILE and first != name:
        member.kind, member.target = tar_header.HARD_LINK, first
    if member.kind != tar_header.FILE:
        yield header(member)
        return
    with open(path, "rb", buffering=0) as file:
        member.size_bytes = os.fstat(file.fileno()).st_size
        member.capability = _capability(path)
        yield header(member)
        left = member.size_bytes
        while left:
            piece = file.read(min(left, READ_BYTES))
            if not piece:
                raise InvalidParameterError(f"{path} became shorter while it was read")
            left -= len(piece)
            yield piece
    yield bytes(-member.size_bytes % BLOCK_BYTES)


def _capability(path: str) -> str:
    try:
        value = os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except OSError:
        return ""  # it has none
    return value.decode("utf-8", "surrogateescape")


def _gathered(pieces: "Iterator[bytes]") -> "Iterator[bytes]":
    """Yield the same bytes in fewer pieces: each piece costs a system call or two on both sides."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        if len(waiting) >= READ_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _pieces(stream: "BinaryIO") -> "Iterator[bytes]":
    while piece := stream.read(READ_BYTES):
        yield piece
