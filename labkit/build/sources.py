"""The files that COPY and ADD take from an archive: found by name, hashed, and packed.

The rules are classic Docker's (builder/dockerfile/copy.go): of a folder its content is copied, not
itself; links are followed to what is named, and copied as links below it.
"""

import hashlib
import posixpath
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from labkit.build.context.archive import CHUNK_BYTES, Archive, Node, below, folder_node
from labkit.build.errors import MissingSourceError
from labkit.build.modes import Change
from labkit.errors import NotFoundError
from labkit.images.archives import sparse
from labkit.images.archives.heads import head
from labkit.images.archives.reader import XATTR, Member
from labkit.patterns import Patterns, has_wildcard, wildcard

END = bytes(2 * tarfile.BLOCKSIZE)


class Source(NamedTuple):
    """One thing to copy: a file, or a folder's content."""

    archive: Archive
    path: str
    """As it is called in the archive."""
    node: Node
    parts: list[tuple[str, Node]]
    """Name and node of each file: of a folder everything below it, of a file itself."""

    @property
    def name(self) -> str:
        """The name that a file gets in a folder."""
        return posixpath.basename(self.path)


class Sources:
    """The files of one COPY, which are read when they are needed.

    The files at some paths of some layers never change.  So the hash of files that came from there
    before is remembered, and a step that is cached reads none of them.
    """

    def __init__(
        self, load: Callable[[], list[Source]], known_by: tuple[str, ...] | None = None
    ) -> None:
        """`known_by`: the layers and paths, if nothing else says what the sources are."""
        self._load = load
        self._known_by = known_by
        self._found: list[Source] | None = None

    @property
    def found(self) -> list[Source]:
        """The sources.  InvalidParameterError."""
        if self._found is None:
            self._found = self._load()
        return self._found

    @property
    def key(self) -> str:
        """Their key in the cache."""
        return self._facts[0]

    @property
    def count(self) -> int:
        """How many they are."""
        return self._facts[1]

    @cached_property
    def _facts(self) -> tuple[str, int]:
        if self._known_by is None:
            return content_key(self.found), len(self.found)
        remembered = _REMEMBERED.get(self._known_by)
        if remembered is None:
            remembered = content_key(self.found), len(self.found)
            if len(_REMEMBERED) >= REMEMBERED_MAX:
                _REMEMBERED.clear()
            _REMEMBERED[self._known_by] = remembered
        return remembered


REMEMBERED_MAX = 10_000
_REMEMBERED: dict[tuple[str, ...], tuple[str, int]] = {}


def select(
    archive: Archive, paths: Sequence[str], excluded: Sequence[str], *, parents: bool = False
) -> list[Source]:
    """Return the files of a COPY's sources in order; InvalidParameterError in Docker's words.

    A pattern may match nothing, as with BuildKit; a name that is not there is an error.  With
    `parents` each source keeps the folders above it, up to a part `/./` of its text.
    """
    if parents:
        return [
            _with_parents(source, _depth(written))
            for written in paths
            for source in select(archive, [written], excluded)
        ]
    patterns = Patterns(excluded)
    found: list[Source] = []
    for written in paths:
        path = _inside(written)
        if has_wildcard(path):
            rule = wildcard(path)
            names = [name for name, _ in below(archive.root) if rule.fullmatch(name)]
            found += [
                _source(archive, name, patterns) for name in names if not patterns.match(name)
            ]
        else:
            found.append(_source(archive, path, patterns))
    return found


def _depth(written: str) -> int:
    """How many folders of a written source are not kept: those before `/./`."""
    before, pivot, _ = written.partition("/./")
    return len([part for part in _inside(before).split("/") if part]) if pivot else 0


def _with_parents(source: Source, depth: int) -> Source:
    """The same files below the folders that they are in, as the content of one folder."""
    parts: list[tuple[str, Node]] = []
    names = source.path.split("/") if source.path else []
    for end in range(depth + 1, len(names)):
        above = source.archive.find("/".join(names[:end]))
        parts.append(("/".join(names[depth:end]), above))
    place = "/".join(names[depth:])
    if place:
        parts.append((place, source.node))
    if source.node.is_folder:
        prefix = f"{place}/" if place else ""
        parts += [(f"{prefix}{name}", node) for name, node in source.parts]
    return Source(source.archive, source.path, folder_node(""), parts)


def _inside(written: str) -> str:
    """Return a source as a path from the root on; above the root is the root, as in BuildKit."""
    return posixpath.normpath(f"/{written}").strip("/")


def _source(archive: Archive, path: str, patterns: Patterns) -> Source:
    try:
        node = archive.find(path)
    except NotFoundError:
        raise MissingSourceError(path) from None
    if not node.is_folder:
        return Source(archive, path, node, [(posixpath.basename(path), node)])
    parts = [(name, part) for name, part in below(node) if not patterns.match(name)]
    return Source(archive, path, node, parts)


def content_key(sources: Sequence[Source]) -> str:
    """Return the sources' key in the cache: `file:…`, `dir:…`, or `multi:…` for several."""
    keys = [_key(source) for source in sources]
    if len(keys) == 1:
        return keys[0]
    return f"multi:{hashlib.sha256(' '.join(keys).encode()).hexdigest()}"


def _key(source: Source) -> str:
    kind = "dir" if source.node.is_folder else "file"
    found = hashlib.sha256()
    for name, node in source.parts:
        found.update(f"{name!r} {source.archive.digest(node)}\n".encode())
    return f"{kind}:{found.hexdigest()}"


def packed(sources: Sequence[Source], mode: Change | None = None) -> Iterator[bytes]:
    """Yield a tar archive of all sources: each name begins with the source's number.

    `mode` changes modes.  The pieces are large, because each may wake the process that reads it.
    """
    waiting, waiting_bytes = [], 0
    for piece in _members(sources, mode):
        waiting.append(piece)
        waiting_bytes += len(piece)
        if waiting_bytes >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, waiting_bytes = [], 0
    yield b"".join([*waiting, END])


def _members(sources: Sequence[Source], mode: Change | None) -> Iterator[bytes]:
    for number, source in enumerate(sources):
        first_names: dict[int, str] = {}
        for name, node in source.parts:
            yield from _member(source.archive, node, f"{number}/{name}", first_names, mode)


def _member(
    archive: Archive, node: Node, name: str, first_names: dict[int, str], mode: Change | None
) -> Iterator[bytes]:
    member, found = Member(name), node.member
    member.type, member.linkname, member.size = found.type, found.linkname, found.size
    member.uid, member.gid, member.mtime, member.pieces = (
        found.uid,
        found.gid,
        found.mtime,
        found.pieces,
    )
    member.devmajor, member.devminor = found.devmajor, found.devminor
    member.mode = found.mode
    member.pax_headers = {
        key: value
        for key, value in found.pax_headers.items()
        if key == "mtime" or key.startswith(XATTR)
    }
    if mode is not None and node.kind != "link":
        member.mode = mode(member.mode & 0o7777, node.is_folder)
    first = first_names.setdefault(id(node), name)
    if node.kind == "file" and first != name:
        member.type, member.linkname, member.size = tarfile.LNKTYPE, first, 0
    elif node.kind == "file":
        member.type = tarfile.REGTYPE
    if member.type != tarfile.REGTYPE:
        yield head(member)
        return
    sparse_map = b""
    if member.issparse():  # holes stay holes: a file of terabytes may hold a kilobyte
        sparse_map = sparse.describe(member)
    yield head(member)
    yield sparse_map
    yield from archive.stored(node)
    yield bytes(-member.size % tarfile.BLOCKSIZE)
