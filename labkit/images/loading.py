"""`docker load`: images from an archive, as Docker (old and new), podman or skopeo wrote it.

While the archive is read, its files are kept under labkit's own numbers, so that their names lead
nowhere.  If it has an OCI layout (`index.json`), the manifests are kept as they are; if it has
`manifest.json` alone (Docker before version 25), the configs are, and so are the ids of images.
"""

import hashlib
import os
import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import models, platforms, references
from labkit.images.archives.compression import CHUNK_BYTES, plain_chunks
from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.reader import ArchiveReader
from labkit.images.documents import check_times
from labkit.images.drafts import Draft
from labkit.images.image import Image
from labkit.images.layers import limit_bytes
from labkit.images.layout import LAYOUT_MARKER, DamagedStoreError, decode
from labkit.images.models import Descriptor, ImageConfig, Index, Manifest, Platform
from labkit.images.saving import IMAGE_NAME, DockerImage
from labkit.images.store import ImageStore
from labkit.kernel.files import write_all

FILES_MAX = 100_000
NAMES_MAX_BYTES = 16 << 20
LINKS_MAX = 10


class Layer(NamedTuple):
    """A layer in progress: `id` is its diff id or digest, with its size in the archive."""

    id: str
    size_bytes: int
    is_done: bool


class Loaded(NamedTuple):
    """An image that was loaded; `names` are those in the archive."""

    image: Image
    names: list[str]


class _File(NamedTuple):
    path: str
    digest: str
    size: int


Event = Layer | Loaded


def load(store: ImageStore, stream: BinaryIO, wanted: Platform | None = None) -> Iterator[Event]:
    """Read the archive to its end, then load one image after the other.

    The archive may be compressed.  Each image must be for the platform `wanted`, if one is given.
    InvalidParameterError, NotFoundError: images before the damaged one stay.
    """
    try:
        yield from _load(store, stream, wanted)
    except DamagedStoreError as error:  # the store's functions read the archive's documents
        raise InvalidParameterError(str(error)) from None


def _load(store: ImageStore, stream: BinaryIO, wanted: Platform | None) -> Iterator[Event]:
    with store.place() as folder:
        archive = _Archive(stream, folder)
        if LAYOUT_MARKER in archive.files and "index.json" in archive.files:
            yield from _load_layout(store, archive, wanted)
        elif "manifest.json" in archive.files:
            yield from _load_docker(store, archive, wanted)
        else:
            raise InvalidParameterError(
                "the archive holds no images: neither manifest.json nor index.json is in it "
                "(for a root file system use: labkit import)"
            )


class _Archive:
    """The files of an archive by their names in it."""

    def __init__(self, stream: BinaryIO, folder: str) -> None:
        self._folder = folder
        self._left_bytes = limit_bytes(folder)
        self.files: dict[str, _File] = {}
        self._links: dict[str, str] = {}
        try:
            self._read(stream)
        except BadArchiveError as error:
            raise InvalidParameterError(f"the archive cannot be read: {error}") from None
        self._follow_links()

    def _read(self, stream: BinaryIO) -> None:
        reader = ArchiveReader(cast("BinaryIO", _Pieces(plain_chunks(stream))))
        names_bytes = count = 0
        while (member := reader.next()) is not None:
            count += 1
            names_bytes += len(member.name) + len(member.linkname)
            if count > FILES_MAX or names_bytes > NAMES_MAX_BYTES:
                raise BadArchiveError(
                    f"it has more than {FILES_MAX} files, or their names more than "
                    f"{NAMES_MAX_BYTES} bytes"
                )
            name = _clean(member.name)
            if member.issparse():
                raise BadArchiveError(f"{member.name!r} is a sparse file, which no image has")
            if member.isreg():
                self.files[name] = self._keep(reader, member)
            elif member.issym():  # old Docker's form for a layer that two images share
                target = posixpath.join(posixpath.dirname(name), member.linkname)
                self._links[name] = _clean(target)
            elif member.islnk():
                self._links[name] = _clean(member.linkname)

    def _keep(self, reader: ArchiveReader, member: tarfile.TarInfo) -> _File:
        if member.size > self._left_bytes:
            raise BadArchiveError(f"there is no room on the disk for {member.name}")
        self._left_bytes -= member.size
        path = os.path.join(self._folder, str(len(self.files)))
        sha256, left = hashlib.sha256(), member.size
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            while left:
                piece = reader.read(CHUNK_BYTES)
                write_all(fd, piece)
                sha256.update(piece)
                left -= len(piece)
            os.fsync(fd)
        finally:
            os.close(fd)
        return _File(path, f"sha256:{sha256.hexdigest()}", member.size)

    def _follow_links(self) -> None:
        for name, target in self._links.items():
            end = target
            for _ in range(LINKS_MAX):
                end = self._links.get(end, end)
            if end in self.files:
                self.files[name] = self.files[end]

    def find(self, name: str) -> _File:
        """Return a file of the archive; InvalidParameterError."""
        found = self.files.get(_clean(name))
        if found is None:
            raise InvalidParameterError(f"the archive is incomplete: {name} is not in it")
        return found

    def document(self, name: str) -> bytes:
        """Return a small file's content."""
        file = self.find(name)
        if file.size > models.DOCUMENT_MAX_BYTES:
            raise InvalidParameterError(
                f"{name} in the archive has {file.size} bytes; a document has at most "
                f"{models.DOCUMENT_MAX_BYTES}"
            )
        with open(file.path, "rb") as content:
            return content.read()


class _Pieces:
    """An iterator of pieces as a file that tarfile reads."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def _clean(name: str) -> str:
    """Return a name of the archive in its normal form; InvalidParameterError if it leads out."""
    clean = posixpath.normpath(f"./{name}")
    if clean.startswith("../") or clean == "..":
        raise InvalidParameterError(f"the name {name!r} leads out of the archive")
    return clean.lstrip("/")


# An OCI layout


def _load_layout(store: ImageStore, archive: _Archive, wanted: Platform | None) -> Iterator[Event]:
    index = decode(archive.document("index.json"), Index, "index.json")
    names = _names(index, archive)
    for digest in dict.fromkeys(entry.digest for entry in index.manifests):
        entry = next(entry for entry in index.manifests if entry.digest == digest)
        if wanted is not None:
            entry = _for_platform(archive, entry, wanted)
        data = archive.document(_blob(entry))
        with store.draft() as draft:
            yield from _bring_in(archive, draft, entry)
            plain = Descriptor(entry.media_type, entry.digest, entry.size)
            image = draft.commit_manifest(plain, data, names=names[digest])
        yield Loaded(image, names[digest])


def _for_platform(archive: _Archive, entry: Descriptor, wanted: Platform) -> Descriptor:
    """Return an image's manifest for a platform, out of an index if it is one; NotFoundError."""
    if entry.media_type in models.INDEXES:
        inner = decode(archive.document(_blob(entry)), Index, _blob(entry))
        return platforms.choose(inner.manifests, wanted)
    if entry.media_type in models.MANIFESTS:
        manifest = decode(archive.document(_blob(entry)), Manifest, _blob(entry))
        path = _blob(manifest.config)
        _check_platform(decode(archive.document(path), ImageConfig, path), wanted)
    return entry


def _check_platform(config: ImageConfig, wanted: Platform) -> None:
    own = Platform(config.architecture, config.os, config.variant)
    if not platforms.runs_on(own, wanted):
        raise NotFoundError(
            f"an image of the archive is for {platforms.words(own)}, and does not provide the "
            f"specified platform ({platforms.words(wanted)})"
        )


def _names(index: Index, archive: _Archive) -> dict[str, list[str]]:
    """Return the names of each manifest by its digest; only registries give names with digests."""
    tags = {}
    if "manifest.json" in archive.files:
        tags = {image.config: image.repo_tags or [] for image in _docker_images(archive)}
    names: dict[str, list[str]] = {}
    for entry in index.manifests:
        known = names.setdefault(entry.digest, [])
        annotations = entry.annotations or {}
        name = annotations.get(IMAGE_NAME) or annotations.get(models.REF_NAME, "")
        if name and (IMAGE_NAME in annotations or ":" in name or "/" in name):
            reference = references.parse(name)
            known += [] if reference.digest else [reference.familiar]
        if entry.media_type in models.MANIFESTS:
            manifest = decode(archive.document(_blob(entry)), Manifest, _blob(entry))
            known += map(_familiar, tags.get(_blob(manifest.config), []))
    return {digest: list(dict.fromkeys(known)) for digest, known in names.items()}


def _familiar(name: str) -> str:
    return references.parse_tag(name).familiar


def _bring_in(archive: _Archive, draft: Draft, entry: Descriptor) -> Iterator[Event]:
    """Move the blobs of a manifest, or of the manifests of an index, into the store."""
    if entry.media_type in models.INDEXES:
        inner = decode(archive.document(_blob(entry)), Index, _blob(entry))
        for member in inner.manifests:
            if _blob(member) in archive.files and member.media_type in models.MANIFESTS:
                yield from _bring_in(archive, draft, member)
                _adopt(archive, draft, member)
        return
    manifest = decode(archive.document(_blob(entry)), Manifest, _blob(entry))
    for blob in (manifest.config, *manifest.layers):
        is_layer = blob is not manifest.config
        if draft.has_blob(blob.digest):
            continue
        if is_layer:
            yield Layer(blob.digest, blob.size, is_done=False)
        _adopt(archive, draft, blob)
        if is_layer:
            yield Layer(blob.digest, blob.size, is_done=True)


def _adopt(archive: _Archive, draft: Draft, blob: Descriptor) -> None:
    if draft.has_blob(blob.digest):
        return
    file = archive.find(_blob(blob))
    if file.digest != blob.digest:
        raise InvalidParameterError(
            f"{_blob(blob)} in the archive does not match its name: its digest is {file.digest}"
        )
    draft.adopt_blob(file.path, blob)


def _blob(blob: Descriptor) -> str:
    return f"blobs/{blob.digest.replace(':', '/')}"


# Docker's own format


def _docker_images(archive: _Archive) -> list[DockerImage]:
    return decode(archive.document("manifest.json"), list[DockerImage], "manifest.json")


def _load_docker(store: ImageStore, archive: _Archive, wanted: Platform | None) -> Iterator[Event]:
    for described in _docker_images(archive):
        data = archive.document(described.config)
        config = decode(data, ImageConfig, described.config)
        check_times(config, described.config)
        if wanted is not None:
            _check_platform(config, wanted)
        diff_ids = config.rootfs.diff_ids
        if len(diff_ids) != len(described.layers):
            raise InvalidParameterError(
                f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, "
                f"got {len(described.layers)}"
            )
        names = [_familiar(name) for name in described.repo_tags or []]
        with store.draft() as draft:
            for diff_id, path in zip(diff_ids, described.layers, strict=True):
                yield from _add_layer(archive, draft, diff_id, path)
            image = draft.commit_config(data, names=names)
        yield Loaded(image, names)


def _add_layer(archive: _Archive, draft: Draft, diff_id: str, path: str) -> Iterator[Event]:
    if draft.add_known(diff_id):
        return
    file = archive.find(path)
    yield Layer(diff_id, file.size, is_done=False)
    with open(file.path, "rb") as layer:
        found = draft.add_tar(layer).diff_id
    if found != diff_id:
        raise InvalidParameterError(
            f"invalid diffID for layer {path}: expected {diff_id}, got {found}"
        )
    yield Layer(diff_id, file.size, is_done=True)
