"""Blobs in a folder of the client, over its session: caches of the type `local`.

The client serves containerd's content service for each folder that the user named.  It writes the
folder's `index.json` itself, with the manifest that the build's answer names.
"""

import hashlib
import io
import os
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from labkit.buildkit.sessions import Client
from labkit.dialect.content_messages import (
    COMMIT,
    PIECE_BYTES,
    SERVICE,
    STORE,
    WRITE,
    ContentInfoRequest,
    ContentInfoResponse,
    ReadContentRequest,
    ReadContentResponse,
    WriteContentRequest,
    WriteContentResponse,
)
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images.layers import limit_bytes
from labkit.images.models import DOCUMENT_MAX_BYTES, Descriptor
from labkit.rpc import calls
from labkit.rpc.calls import Made, Metadata
from labkit.rpc.errors import ALREADY_EXISTS, NOT_FOUND, CallError

TIMEOUT_S = 60.0


class _Store:
    """The session, with the name of one folder in each call."""

    def __init__(self, session: Client, name: str) -> None:
        self.shared_key = ""
        self._session = session
        self._name = name

    def call(self, path: str, metadata: Metadata) -> Made:
        """Begin a call.  CallError."""
        return self._session.call(path, {**metadata, STORE: [self._name]})


class FolderCache:
    """A folder of the client as the place of a cache (`labkit.build.portable_cache.Place`)."""

    def __init__(self, session: Client, folder: str, digest: str = "") -> None:
        """`digest` is that of the manifest to read."""
        self.name = folder
        self._store = _Store(session, f"local:{folder}")
        self._digest = digest

    def manifest(self) -> bytes:
        """Return the manifest.  CallError, NotFoundError, InvalidParameterError."""
        if not self._digest:
            raise NotFoundError(f"{self.name} holds no cache")
        pieces: list[bytes] = []
        self._read(self._digest, DOCUMENT_MAX_BYTES, pieces.append)
        return b"".join(pieces)

    def fetch(self, blob: Descriptor, path: str) -> None:
        """Write a blob to a new file.  CallError, InvalidParameterError, OSError."""
        if blob.size > limit_bytes(os.path.dirname(path)):
            raise InvalidParameterError(f"{blob.digest} has {blob.size} bytes: there is no space")
        with open(path, "xb") as file:
            count = self._read(blob.digest, blob.size, file.write)
        if count != blob.size:
            raise InvalidParameterError(f"{blob.digest} has {count} bytes, and not {blob.size}")

    def _read(self, digest: str, max_bytes: int, take: Callable[[bytes], object]) -> int:
        """Read a blob, which matches its digest at the end; return its size."""
        found, count = hashlib.sha256(), 0
        call = self._store.call(f"{SERVICE}/Read", {})
        try:
            call.send(ReadContentRequest(digest), end=True)
            while (piece := call.receive(ReadContentResponse, TIMEOUT_S)) is not None:
                count += len(piece.data)
                if count > max_bytes:
                    raise InvalidParameterError(f"{digest} has more than {max_bytes} bytes")
                found.update(piece.data)
                take(piece.data)
        finally:
            call.close()
        if f"sha256:{found.hexdigest()}" != digest:
            raise InvalidParameterError(f"{digest} in {self.name} is damaged")
        return count

    def put(self, blob: Descriptor, open_blob: Callable[[], BinaryIO]) -> None:
        """Store a blob, unless it is there.  CallError, OSError."""
        try:
            asked = ContentInfoRequest(blob.digest)
            calls.ask(self._store, f"{SERVICE}/Info", asked, ContentInfoResponse, TIMEOUT_S)
        except CallError as error:
            if error.code != NOT_FOUND:
                raise
            with open_blob() as file:
                self._write(blob, file)

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        """Store the manifest; the client enters it into the index."""
        self.put(manifest, lambda: io.BytesIO(data))

    def _write(self, blob: Descriptor, file: BinaryIO) -> None:
        piece = WriteContentRequest(WRITE, f"labkit-{blob.digest}", blob.size, blob.digest)
        call = self._store.call(f"{SERVICE}/Write", {})
        try:
            while data := file.read(PIECE_BYTES):
                piece.data = data
                call.send(piece)
                piece.offset += len(data)
                call.receive(WriteContentResponse, TIMEOUT_S)
            call.send(msgspec.structs.replace(piece, action=COMMIT, data=b""), end=True)
            call.receive(WriteContentResponse, TIMEOUT_S)
        except CallError as error:
            if error.code != ALREADY_EXISTS:
                raise
        finally:
            call.close()
