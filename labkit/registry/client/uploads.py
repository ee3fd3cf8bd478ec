"""Uploading a blob: skipped if it exists, by mounting it, whole, or in chunks (spec, "Push").

A large blob is sent in chunks, so that after a broken connection only the last one is sent again:
the registry reports how much it has.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import httpx

from labkit.errors import LabkitError
from labkit.images.models import Descriptor
from labkit.registry.client.auth import Scopes
from labkit.registry.client.errors import RegistryError, UnreachableError
from labkit.registry.client.registry import BUSY, Patience, Registry

WHOLE_LIMIT_BYTES = 16 << 20
"""A blob up to this size is sent in one request."""
CHUNK_BYTES = 32 << 20
PIECE_BYTES = 1 << 18
OCTETS = {"Content-Type": "application/octet-stream"}
RANGE = re.compile(r"(?:bytes=)?0-(\d+)")

Open = Callable[[], BinaryIO]
Tell = Callable[[int], None]


class Upload:
    """One blob on its way to one repository.

    `uploads` is the address for uploads to the repository; each call of `open_blob` returns the
    blob's file (seekable).
    """

    def __init__(
        self,
        registry: Registry,
        uploads: httpx.URL,
        scopes: Scopes,
        descriptor: Descriptor,
        *,
        open_blob: Open,
        tell: Tell,
    ) -> None:
        self._registry = registry
        self._uploads = uploads
        self._scopes = scopes
        self._descriptor = descriptor
        self._open_blob = open_blob
        self._tell = tell

    def mount(self, sources: Sequence[str]) -> str:
        """Have the registry link the blob from one of its other repositories; return it or ""."""
        for source in sources:
            scopes = (*self._scopes, f"repository:{source}:pull")
            query = {"mount": self._descriptor.digest, "from": source}
            url = self._uploads.copy_merge_params(query)
            with self._registry.open("POST", url, scopes=scopes, expected=(201, 202)) as response:
                self._registry.whole(response)
                if response.status_code == 201:
                    return source
                self._give_up(self._registry.follow(response))
        return ""

    def send(self) -> None:
        """Send the blob; RegistryError, UnreachableError, StoppedError."""
        patience = Patience(self._registry.stop)
        while True:
            with self._registry.open(
                "POST", self._uploads, scopes=self._scopes, expected=(202,), patience=patience
            ) as response:
                self._registry.whole(response)
                session = self._registry.follow(response)
            try:
                if self._descriptor.size > WHOLE_LIMIT_BYTES:
                    session = self._send_chunks(session, patience)
                    self._close(session)
                else:
                    self._send_whole(session)
            except RegistryError as error:
                # The session has ended: it was too old, or the registry was restarted.
                if error.code != "BLOB_UPLOAD_UNKNOWN" and error.status != 404:
                    raise
                if patience.has_ended():
                    raise
                patience.wait()
            else:
                return

    def _send_whole(self, session: httpx.URL) -> None:
        url = session.copy_merge_params({"digest": self._descriptor.digest})
        headers = {**OCTETS, "Content-Length": str(self._descriptor.size)}
        with self._registry.open(
            "PUT",
            url,
            scopes=self._scopes,
            headers=headers,
            source=lambda: self._pieces(0, self._descriptor.size),
            expected=(201, 204),
        ) as response:
            self._registry.whole(response)

    def _send_chunks(self, session: httpx.URL, patience: Patience) -> httpx.URL:
        """Send all of it in chunks; return the session's last address."""
        offset = 0
        while offset < self._descriptor.size:
            try:
                session, reached = self._send_chunk(session, offset)
            except (UnreachableError, RegistryError) as error:
                if isinstance(error, RegistryError) and error.status not in (416, *BUSY):
                    raise
                if patience.has_ended():
                    raise
                patience.wait()
                session, reached = self._reached(session)
            if reached > offset:
                patience.renew()
            if reached > self._descriptor.size:
                raise UnreachableError(f"{session.host} reports more bytes of a blob than it has")
            offset = reached
        return session

    def _send_chunk(self, session: httpx.URL, offset: int) -> tuple[httpx.URL, int]:
        end = min(offset + CHUNK_BYTES, self._descriptor.size)
        headers = {
            **OCTETS,
            "Content-Length": str(end - offset),
            "Content-Range": f"{offset}-{end - 1}",
        }
        patience = Patience(self._registry.stop, tries=1)  # ask what has arrived before a retry
        with self._registry.open(
            "PATCH",
            session,
            scopes=self._scopes,
            headers=headers,
            source=lambda: self._pieces(offset, end),
            expected=(202, 204),
            patience=patience,
        ) as response:
            self._registry.whole(response)
            return self._registry.follow(response), _range_end(response, end)

    def _reached(self, session: httpx.URL) -> tuple[httpx.URL, int]:
        """Ask how much has arrived: the session's address now, and the next byte's offset."""
        with self._registry.open(
            "GET", session, scopes=self._scopes, expected=(200, 202, 204)
        ) as response:
            self._registry.whole(response)
            where = self._registry.follow(response) if "Location" in response.headers else session
            return where, _range_end(response, 0)

    def _close(self, session: httpx.URL) -> None:
        url = session.copy_merge_params({"digest": self._descriptor.digest})
        with self._registry.open(
            "PUT", url, scopes=self._scopes, source=b"", expected=(201, 204)
        ) as response:
            self._registry.whole(response)

    def _give_up(self, session: httpx.URL) -> None:
        """Tell the registry to drop an upload; a failure is ignored."""
        try:
            with self._registry.open(
                "DELETE", session, scopes=self._scopes, expected=range(200, 500)
            ) as response:
                self._registry.whole(response)
        except LabkitError:
            return

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        with self._open_blob() as blob:
            blob.seek(start)
            while start < end and (piece := blob.read(min(PIECE_BYTES, end - start))):
                yield piece
                start += len(piece)
                self._tell(start)


def _range_end(response: httpx.Response, otherwise: int) -> int:
    """Return the offset after the registry's last byte, from its `Range: 0-41`."""
    text = response.headers.get("Range", "").strip()
    match = RANGE.fullmatch(text)
    if not match:
        return otherwise
    # An empty upload has no last byte; some registries write 0-0 for it.
    last = int(match[1])
    return last + 1 if last or otherwise else 0
