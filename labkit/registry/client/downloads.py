"""Downloading a blob: in small pieces, resumed after a broken connection, checked by its digest."""

import hashlib
import os
import re
import threading
from collections.abc import Callable

import httpx

from labkit.images.models import Descriptor
from labkit.registry.client.auth import Scopes
from labkit.registry.client.errors import RegistryError, StoppedError, unreachable
from labkit.registry.client.registry import Patience, Registry

PROGRESS_BYTES = 1 << 20
"""The least data that counts as progress: a server that sends less each time is given up."""
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")

Tell = Callable[[int], None]
"""A function that is called with the number of bytes received, again and again."""


class Received:
    """A blob's file, as much as has been received."""

    def __init__(
        self, path: str, descriptor: Descriptor, tell: Tell, stop: threading.Event
    ) -> None:
        self.descriptor = descriptor
        self.size_bytes = 0
        self._file = open(path, "wb")
        self._sha256 = hashlib.sha256()
        self._tell = tell
        self._stop = stop

    @property
    def is_whole(self) -> bool:
        """Whether all bytes that the manifest promises have been received."""
        return self.size_bytes == self.descriptor.size

    def write(self, data: bytes) -> None:
        """Write more; RegistryError if it is more than was promised, StoppedError."""
        if self._stop.is_set():
            raise StoppedError("stopped")
        if self.size_bytes + len(data) > self.descriptor.size:
            raise RegistryError(
                200,
                "SIZE_INVALID",
                f"the registry sends more for blob {self.descriptor.digest} than the "
                f"{self.descriptor.size} bytes that its manifest promises",
            )
        self._file.write(data)
        self._sha256.update(data)
        self.size_bytes += len(data)
        self._tell(self.size_bytes)

    def start_at(self, offset: int) -> bool:
        """Whether data from this offset fits what has been received; from 0 it always does."""
        if offset == 0 and self.size_bytes:
            self._file.seek(0)
            self._file.truncate()
            self._sha256 = hashlib.sha256()
            self.size_bytes = 0
        return offset == self.size_bytes

    def finish(self) -> None:
        """Sync it to the disk; RegistryError if it does not match its digest."""
        if f"sha256:{self._sha256.hexdigest()}" != self.descriptor.digest:
            raise RegistryError(
                200,
                "DIGEST_INVALID",
                f"filesystem layer verification failed for digest {self.descriptor.digest}: "
                f"the registry sent sha256:{self._sha256.hexdigest()}. Pull again; if that does "
                "not help, push the image again",
            )
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def download(registry: Registry, url: httpx.URL, scopes: Scopes, received: Received) -> None:
    """Download the blob at `url`; on return it is complete and on the disk.

    Raises `RegistryError` if it does not match its descriptor, or does not exist;
    `UnreachableError` if the connection breaks repeatedly; `StoppedError`.
    """
    patience = Patience(registry.stop)
    while not received.is_whole:
        before = received.size_bytes
        try:
            _receive(registry, url, scopes, received, patience)
            broken: httpx.TransportError = httpx.RemoteProtocolError(
                "the server ended the transfer early"
            )
        except httpx.TransportError as error:
            broken = error
        if received.size_bytes - before >= PROGRESS_BYTES:
            patience.renew()
        if not received.is_whole and patience.has_ended():
            raise unreachable(registry.endpoint.url, broken) from broken
        if not received.is_whole:
            patience.wait()
    received.finish()


def _receive(
    registry: Registry, url: httpx.URL, scopes: Scopes, received: Received, patience: Patience
) -> None:
    start = received.size_bytes
    headers = {"Range": f"bytes={start}-"} if start else {}
    with registry.open(
        "GET",
        url,
        scopes=scopes,
        headers=headers,
        expected=(200, 206, 416),
        patience=patience,
    ) as response:
        if not received.start_at(_offset(response)):
            received.start_at(0)
            return  # it sent another part than the requested one: start again
        for piece in response.iter_raw():
            received.write(piece)


def _offset(response: httpx.Response) -> int:
    """Return the offset in the blob at which the body begins, -1 if it is unknown."""
    if response.status_code == 200:
        return 0
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(match[1]) if match and response.status_code == 206 else -1
