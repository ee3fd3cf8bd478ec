"""Looks at images: their files, their layers, and what is written in any of them."""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator

from labkit.client import Client
from labkit.errors import NotFoundError

MOST_BYTES = 256 << 20
"""An image of a submission that is larger is not looked at."""
_READ = 1 << 16
_GIVEN = frozenset({"etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv"})
_FOLDERS = frozenset({"", ".", "dev", "proc", "sys"})
"""What the engine puts into each container, so that it is no part of the image."""


class Tree(dict[str, str]):
    """The files of an image, by path: what kind, whose, which rights, and a digest."""


def files(client: Client, image: str) -> Tree:
    """The files that a container of the image begins with; NotFoundError."""
    container = client.containers.create(image, ["-"], entrypoint=["-"])
    try:
        archive = _whole(container.export())
    finally:
        container.remove(force=True)
    found = Tree()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = member.name.strip("/").removeprefix("./")
            if path in _GIVEN or path.partition("/")[0] in _FOLDERS:
                continue
            data = tar.extractfile(member) if member.isreg() else None
            said = hashlib.sha256(data.read()).hexdigest() if data else member.linkname
            head = f"{member.type!r} {member.mode & 0o7777:o} {member.uid}:{member.gid}"
            found[path] = f"{head} {said}" if not member.islnk() else "hard link"
    return found


def size_bytes(client: Client, image: str) -> int:
    """The size of an image's layers together; NotFoundError."""
    return int(client.images.get(image).attrs["Size"])


def layers(client: Client, image: str) -> int:
    """How many layers an image has; NotFoundError."""
    return len(client.images.get(image).attrs["RootFS"]["Layers"])


def has_text(client: Client, image: str, text: bytes) -> bool:
    """Whether a text is in a layer or in the configuration of an image, covered or not."""
    try:
        archive = _whole(iter(client.api.stream("GET", "/images/get", names=image)))
    except NotFoundError:
        return False
    return any(text in blob for blob in _blobs(archive))


def _blobs(archive: bytes) -> Iterator[bytes]:
    """Each file of an archive of images, and what is compressed in it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            data = tar.extractfile(member) if member.isreg() else None
            if data is None:
                continue
            blob = data.read()
            yield blob
            if blob.startswith(b"\x1f\x8b"):
                unpacked = zlib.decompressobj(wbits=31).decompress(blob, MOST_BYTES)
                yield unpacked


def _whole(pieces: Iterator[bytes]) -> bytes:
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > MOST_BYTES:
            raise OSError("the image is larger than what a judge looks at")
    return bytes(found)
