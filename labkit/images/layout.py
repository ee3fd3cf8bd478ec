"""The OCI image layout on disk: `oci-layout`, `index.json`, `blobs/sha256/…` (image-layout.md).

Other programs read and write the same folder: `skopeo inspect oci:FOLDER:busybox:latest`.  skopeo
compares the text after the folder letter for letter with the annotation
`org.opencontainers.image.ref.name`, so labkit keeps the whole name as people write it.

Several processes may have the folder open.  A writer holds flock(2) on it, and replaces
`index.json` in one step.  Readers need no lock: they read again if the file has been replaced.
"""

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeVar

import msgspec

from labkit.errors import InvalidParameterError, LabkitError, NotFoundError
from labkit.images import models
from labkit.images.models import Descriptor, Index
from labkit.kernel.files import remove_unfinished, sync_folder, write_atomically
from labkit.set_aside import UNREADABLE

LAYOUT_MARKER = "oci-layout"

_T = TypeVar("_T")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class DamagedStoreError(LabkitError):
    """A file of the image store does not match its name or its kind."""


class Layout:
    """One OCI image layout; made if it is missing."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.blobs = os.path.join(folder, "blobs", "sha256")
        self.index_path = os.path.join(folder, "index.json")
        self._threads = threading.RLock()
        self._lock_depth = 0
        self._cached: tuple[tuple[int, int, int], Index] | None = None
        os.makedirs(self.blobs, mode=0o755, exist_ok=True)
        with self.locked():
            remove_unfinished(self.folder)
            remove_unfinished(self.blobs)
            self._make_missing_files()

    def _make_missing_files(self) -> None:
        marker = os.path.join(self.folder, LAYOUT_MARKER)
        if not os.path.exists(marker):
            write_atomically(
                marker, msgspec.json.encode({"imageLayoutVersion": models.LAYOUT_VERSION}), 0o644
            )
        if not os.path.exists(self.index_path):
            self.write_index([])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out: threads of this process, and other processes.  Re-entrant."""
        with self._threads:
            if self._lock_depth:
                yield
                return
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                self._lock_depth = 1
                yield
            finally:
                self._lock_depth = 0
                os.close(fd)

    def manifests(self) -> list[Descriptor]:
        """Return the descriptors in `index.json` as it is on disk now; do not change the list."""
        cached = self._cached
        with open(self.index_path, "rb") as file:
            found = os.fstat(file.fileno())
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if cached and cached[0] == version:
                return cached[1].manifests
            index = decode(file.read(), Index, self.index_path)
        self._cached = (version, index)
        return index.manifests

    def write_index(self, manifests: list[Descriptor]) -> None:
        """Replace `index.json`, unless the content is the same; call it with the lock held.

        A cached build gives its image the name that it has: then nothing is written.
        """
        index = Index(schema_version=2, media_type=models.INDEX, manifests=manifests)
        data = msgspec.json.encode(index)
        with suppress(FileNotFoundError), open(self.index_path, "rb") as file:
            if file.read() == data:
                return
        write_atomically(self.index_path, data, 0o644)

    def blob_path(self, digest: str) -> str:
        """Return the path of the blob of this digest (`sha256:…`), whether it exists or not."""
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise InvalidParameterError(
                f"{digest[:100]!r} is not a digest: it must be sha256: and 64 hexadecimal digits"
            )
        return os.path.join(self.blobs, match[1])

    def has_blob(self, digest: str) -> bool:
        """Whether a blob of this digest exists."""
        return os.path.exists(self.blob_path(digest))

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob; NotFoundError."""
        path = self.blob_path(digest)
        try:
            return open(path, "rb")
        except FileNotFoundError:
            raise NotFoundError(f"the image store has no blob {digest}: {path}") from None

    def read_blob(self, digest: str) -> bytes:
        """Return a small blob, compared with its digest; NotFoundError, DamagedStoreError."""
        path = self.blob_path(digest)
        with self.open_blob(digest) as file:
            size = os.fstat(file.fileno()).st_size
            if size > models.DOCUMENT_MAX_BYTES:
                raise DamagedStoreError(
                    f"{path} is not a manifest or config: it has {size} bytes, and these have at "
                    f"most {models.DOCUMENT_MAX_BYTES}"
                )
            data = file.read()
        if digest_of(data) != digest:
            raise DamagedStoreError(
                f"the content of {path} does not match the digest in its name: remove it"
            )
        return data

    def write_blob(self, digest: str, data: bytes) -> None:
        """Store a small blob; call it with the lock held."""
        if not os.path.exists(self.blob_path(digest)):
            write_atomically(self.blob_path(digest), data, 0o644)

    def adopt_blob(self, path: str, digest: str) -> None:
        """Move a finished file in as a blob, unless it exists; call it with the lock held."""
        if not os.path.exists(self.blob_path(digest)):
            os.rename(path, self.blob_path(digest))
            sync_folder(self.blobs)

    def remove_blob(self, digest: str) -> None:
        """Delete a blob that nothing refers to any more; call it with the lock held."""
        try:
            os.unlink(self.blob_path(digest))
        except FileNotFoundError:
            return


def encode(document: msgspec.Struct, media_type: str) -> tuple[Descriptor, bytes]:
    """Encode a JSON document of `labkit.images.models`; return its descriptor and its bytes."""
    data = msgspec.json.encode(document)
    return Descriptor(media_type, digest_of(data), len(data)), data


def digest_of(data: bytes) -> str:
    """Return the digest of these bytes, which names their blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def decode(data: bytes, kind: type[_T], where: str) -> _T:
    """Decode one of the JSON documents of `labkit.images.models`."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise DamagedStoreError(f"{where} is not a valid {kind.__name__}: {error}") from None
