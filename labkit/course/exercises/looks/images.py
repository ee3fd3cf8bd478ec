"""Images: those that a scene makes and tidying removes, and the content of a learner's.

A learner's image is read in pieces and up to MOST_BYTES in all: the judge has the machine's memory,
and an image may be made to fill it.
"""

import hashlib
import itertools
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from labkit.client import Client
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.finding import TooLargeError
from labkit.course.exercises.looks.trials import archive
from labkit.course.exercises.place import Place
from labkit.errors import LabkitError, NotFoundError

LABEL = "labkit.exercise"
MOST_BYTES = 256 << 20
"""The most bytes of an image that are read, unpacked ones included."""
PIECE_BYTES = 1 << 16
GZIP = b"\x1f\x8b"
_GIVEN = frozenset({"etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv"})
_FOLDERS = frozenset({"", ".", "dev", "proc", "sys"})
"""The names that the engine puts into each container; they are no part of the image."""


class Tree(dict[str, str]):
    """The files of an image, by path: kind, rights, owner, and a digest."""


# Made by a scene


def make(
    place: Place, values: Values, name: str, files: Mapping[str, bytes], base: str = "busybox"
) -> str:
    """Make an image with one layer more than `base`, which holds these files; its id."""
    repository, _, tag = name.partition(":")
    container = place.client.containers.create(base, ["true"], name=f"maker-{values.mark}")
    try:
        container.put_archive("/", archive(files))
        label = f"LABEL {LABEL}={values.mark}"
        return container.commit(repository, tag or "latest", changes=[label]).id
    finally:
        container.remove(force=True)


def remove(place: Place, values: Values) -> None:
    """Remove the images that `make` has made, also those that have lost their names."""
    made = [one for one in place.client.images.list() if one.labels.get(LABEL) == values.mark]
    ids = {one.id for one in made}
    for container in place.client.containers.list(all=True):
        if container.attrs["Image"] in ids:
            with suppress(LabkitError):
                container.remove(force=True)
    for one in made:
        with suppress(LabkitError):
            place.client.images.remove(one.id, force=True)


# A learner's


def files(client: Client, image: str) -> Tree:
    """The files that a container of the image begins with; NotFoundError, TooLargeError."""
    container = client.containers.create(image, ["-"], entrypoint=["-"])
    found = Tree()
    try:
        for member, pieces in _members(container.export(), _Budget(MOST_BYTES)):
            digest = hashlib.sha256()
            for piece in pieces:
                digest.update(piece)
            path = member.name.strip("/").removeprefix("./")
            if path in _GIVEN or path.partition("/")[0] in _FOLDERS:
                continue
            said = digest.hexdigest() if member.isreg() else member.linkname
            head = f"{member.type!r} {member.mode & 0o7777:o} {member.uid}:{member.gid}"
            found[path] = f"{head} {said}" if not member.islnk() else "hard link"
    finally:
        container.remove(force=True)
    return found


def size_bytes(client: Client, image: str) -> int:
    """The size of an image's layers together; NotFoundError."""
    return int(client.images.get(image).attrs["Size"])


def layers(client: Client, image: str) -> int:
    """How many layers an image has; NotFoundError."""
    return len(client.images.get(image).attrs["RootFS"]["Layers"])


def has_text(client: Client, image: str, text: bytes) -> bool:
    """Whether a text is in a layer or in the configuration of an image, covered or not.

    TooLargeError.
    """
    budget = _Budget(MOST_BYTES)
    try:
        saved = client.api.stream("GET", "/images/get", names=image)
        return any(_have(pieces, text, budget) for _, pieces in _members(saved, budget))
    except NotFoundError:
        return False


def unpacked(data: bytes, most: int) -> bytes:
    """Unpack gzip, up to the first damage; TooLargeError above `most` bytes."""
    return b"".join(_Unpacker(_Budget(most)).parts(data))


class _Budget:
    """The bytes that may still be read of one image."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def count(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLargeError(f"an image or archive of more than {self._most >> 20} MiB")
        return piece


class _Stream:
    """Pieces of bytes as a file that is read once, from its beginning to its end."""

    def __init__(self, pieces: Iterable[bytes], budget: _Budget) -> None:
        self._pieces, self._budget = iter(pieces), budget
        self._rest = b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer only at the end."""
        while len(self._rest) < size and (piece := next(self._pieces, b"")):
            self._rest += self._budget.count(piece)
        found, self._rest = self._rest[:size], self._rest[size:]
        return found


def _members(
    pieces: Iterable[bytes], budget: _Budget
) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """Each member of an archive, and its bytes in pieces; TooLargeError."""
    stream: Any = _Stream(pieces, budget)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            yield member, _read(file) if file else iter(())


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece


def _have(pieces: Iterable[bytes], text: bytes, budget: _Budget) -> bool:
    """Whether a text is in a blob, or in what is compressed in it."""
    plain, unpacked = _Window(text), _Window(text)
    kept = list(itertools.islice(pieces := iter(pieces), 1))
    is_packed = bool(kept) and kept[0].startswith(GZIP)
    unpacker = _Unpacker(budget)
    for piece in itertools.chain(kept, pieces):
        if plain.shows(piece):
            return True
        if is_packed and any(unpacked.shows(part) for part in unpacker.parts(piece)):
            return True
    return False


class _Window:
    """Looks for a text in pieces, also across their ends."""

    def __init__(self, text: bytes) -> None:
        self._text, self._tail = text, b""

    def shows(self, piece: bytes) -> bool:
        seen = self._tail + piece
        self._tail = seen[-len(self._text) :]
        return self._text in seen


class _Unpacker:
    """Unpacks gzip, of one or several parts (RFC 1952), in pieces; damage ends it."""

    def __init__(self, budget: _Budget) -> None:
        self._budget = budget
        self._gzip = zlib.decompressobj(wbits=31)

    def parts(self, piece: bytes) -> Iterator[bytes]:
        with suppress(zlib.error):
            while piece:
                yield self._budget.count(self._gzip.decompress(piece, PIECE_BYTES))
                piece = self._gzip.unconsumed_tail
                if self._gzip.eof:
                    piece, self._gzip = self._gzip.unused_data, zlib.decompressobj(wbits=31)
