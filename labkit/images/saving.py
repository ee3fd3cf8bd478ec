"""`docker save`: images as one archive that is an OCI layout and Docker's own format at once.

Docker, podman and labkit read `manifest.json`, skopeo and others `index.json`; both name the same
blobs, which are the store's, byte for byte.
"""

import os
import tarfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from labkit.errors import InvalidParameterError
from labkit.images import models, references
from labkit.images.archives.compression import CHUNK_BYTES
from labkit.images.drafts import Draft
from labkit.images.image import Image
from labkit.images.layout import LAYOUT_MARKER
from labkit.images.models import Descriptor, Index
from labkit.images.store import ImageStore

IMAGE_NAME = "io.containerd.image.name"
"""The annotation in `index.json` for an image's whole name; there `REF_NAME` is the tag alone."""

_END = bytes(2 * tarfile.BLOCKSIZE)


class Saved(NamedTuple):
    """An image, and the names under which it was requested."""

    image: Image
    names: list[str]


class DockerImage(msgspec.Struct, rename="pascal"):
    """One image in `manifest.json`; the paths are in the archive, the lowest layer first."""

    config: str
    repo_tags: list[str] | None
    layers: list[str]


def save(store: ImageStore, asked: Sequence[str]) -> Iterator[bytes]:
    """Yield the archive in pieces; NotFoundError, InvalidParameterError.

    A name without tag means all images of its repository.  The saved images stay until the archive
    is read, even if they are removed.
    """
    if not asked:
        raise InvalidParameterError("no image was named: name the images to save")
    chosen = choose(store, asked)
    with store.draft() as draft:
        yield from _archive(store, draft, chosen)


def save_one(store: ImageStore, image: Image, names: Sequence[str]) -> Iterator[bytes]:
    """Yield the archive of one image, which is `image` itself whatever else has its id."""
    with store.draft() as draft:
        familiar = [references.parse(name).familiar for name in names]
        yield from _archive(store, draft, [Saved(image, familiar)])


def choose(store: ImageStore, asked: Sequence[str]) -> list[Saved]:
    """Return the images that are meant, each once."""
    chosen: dict[str, Saved] = {}
    for reference in asked:
        for image, name in _meant(store, reference):
            saved = chosen.setdefault(image.id, Saved(image, []))
            if name and name not in saved.names:
                saved.names.append(name)
    return list(chosen.values())


def _meant(store: ImageStore, reference: str) -> list[tuple[Image, str]]:
    """Return the images that a reference means, each with its tag, or "" without a name.

    A digest is not a name in an archive.
    """
    if references.is_whole_id(reference):
        return [(store.resolve(reference), "")]
    name = references.parse(reference)
    if name.repository == reference:
        found = [
            (image, "" if references.is_digest(each) else each)
            for image in store.list()
            for each in image.names
            if references.repository_of(each) == reference
        ]
        if found:
            return found
    image = store.resolve(reference)
    return [(image, name.familiar if name.familiar in image.tags else "")]


def _archive(store: ImageStore, draft: Draft, chosen: Sequence[Saved]) -> Iterator[bytes]:
    entries = [(saved, store.entry(saved.image)) for saved in chosen]
    digests = sorted(
        digest
        for digest in store.blobs_of([entry for _, entry in entries])
        if draft.has_blob(digest)
    )
    manifests = [named for saved, entry in entries for named in _named(saved, entry)]
    index = Index(2, models.INDEX, manifests=manifests)
    layout = {"imageLayoutVersion": models.LAYOUT_VERSION}
    yield from _document("index.json", msgspec.json.encode(index))
    yield from _document("manifest.json", msgspec.json.encode([_for_docker(s) for s in chosen]))
    yield from _document(LAYOUT_MARKER, msgspec.json.encode(layout))
    for digest in digests:
        with store.open_blob(digest) as blob:
            left = os.fstat(blob.fileno()).st_size
            yield _header(_path(digest), left)
            yield from _padded(iter(lambda: blob.read(CHUNK_BYTES), b""), left)
    yield _END


def _named(saved: Saved, entry: Descriptor) -> Iterator[Descriptor]:
    """Yield an image's entries for `index.json`: one for each of its names, or one without."""
    for text in saved.names or [""]:
        annotations = None
        if text:
            name = references.parse(text)
            whole = f"{name.domain}/{name.path}:{name.tag}"
            annotations = {IMAGE_NAME: whole, models.REF_NAME: name.tag}
        yield Descriptor(entry.media_type, entry.digest, entry.size, annotations=annotations)


def _for_docker(saved: Saved) -> DockerImage:
    layers = [_path(layer.digest) for layer in saved.image.layers]
    return DockerImage(_path(saved.image.id), saved.names or None, layers)


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _document(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield from _padded(iter([data]), len(data))


def _padded(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    yield from pieces
    yield bytes(-size % tarfile.BLOCKSIZE)
