"""Uploads: the bytes of a blob, in one request or many, before they have a name.

An upload is a file.  Its content is what has arrived, so a client that was cut off asks how much
that is and continues from there, even after the server was killed.  The digest is computed while
the bytes are written; only after a restart are they read again.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from labkit.kernel.files import write_all
from labkit.registry.server.errors import RegistryError, disk_error
from labkit.registry.server.repository import Repository
from labkit.registry.server.store import Store

READ_BYTES = 1024 * 1024
HASHES_KEPT = 1024
"""How many uploads keep their partial digest in memory; others are read again at the end."""

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Source(Protocol):
    """The source of the bytes."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer with data that has arrived; 0 at the end."""


class Sha256(Protocol):
    """The interface of hashlib.sha256()."""

    def update(self, data: memoryview, /) -> None:
        """Add more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""


class _Hash(NamedTuple):
    state: Sha256
    length: int


class Upload:
    """An upload that one request holds; `size` bytes have arrived so far."""

    def __init__(self, upload_id: str, path: str, fd: int, hashed: _Hash) -> None:
        self.id = upload_id
        self.path = path
        self.size = os.fstat(fd).st_size
        self._fd = fd
        self._hash = hashed.state
        self._hashed = hashed.length

    def append(self, source: Source) -> int:
        """Append all bytes of `source`; return their number.

        Bytes that arrived before the client disconnected stay: it can continue after them.

        Raises:
            ProtocolError: the client is too slow, or has disconnected.
            RegistryError: the disk is full.
        """
        before = self.size
        buffer = memoryview(bytearray(READ_BYTES))
        while count := source.readinto(buffer):
            part = buffer[:count]
            try:
                write_all(self._fd, part)
            except OSError as error:
                os.ftruncate(self._fd, self.size)
                raise disk_error(error) from None
            if self._hashed == self.size:
                self._hash.update(part)
                self._hashed += count
            self.size += count
        return self.size - before

    def cut(self, size: int) -> None:
        """Remove all bytes after the first `size`."""
        os.ftruncate(self._fd, size)
        self.size = size

    def digest(self) -> str:
        """Return the digest of the bytes that have arrived."""
        if self._hashed != self.size:
            with open(self.path, "rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        return f"sha256:{self._hash.hexdigest()}"

    def sync(self) -> None:
        """Sync it to the disk."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise disk_error(error) from None

    @property
    def hashed(self) -> _Hash:
        """Return the partial digest, and the number of its bytes, for the next request."""
        return _Hash(self._hash, self._hashed)


class Uploads:
    """All unfinished uploads of a registry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hashes: OrderedDict[str, _Hash] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, name: str) -> tuple[Repository, str]:
        """Begin an upload to the repository of this name; return it and its id."""
        upload_id = str(uuid.uuid4())
        try:
            with self._store.changing():
                repository = self._store.make(name)
                path = os.path.join(repository.uploads, upload_id)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise disk_error(error) from None
        self._keep(upload_id, _new_hash())
        return repository, upload_id

    @contextlib.contextmanager
    def held(self, repository: Repository | None, upload_id: str) -> Iterator[Upload]:
        """An upload that no other request has during this one.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN; BLOB_UPLOAD_INVALID if another request has it.
        """
        path = _path(repository, upload_id)
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _unknown(upload_id) from None
        try:
            _lock(fd, upload_id)
            upload = Upload(upload_id, path, fd, self._take(upload_id))
            try:
                yield upload
            finally:
                if os.path.exists(path):
                    self._keep(upload_id, upload.hashed)
        finally:
            os.close(fd)

    def size(self, repository: Repository | None, upload_id: str) -> int:
        """Return how much has arrived; BLOB_UPLOAD_UNKNOWN."""
        try:
            return os.stat(_path(repository, upload_id)).st_size
        except FileNotFoundError:
            raise _unknown(upload_id) from None

    def cancel(self, repository: Repository | None, upload_id: str) -> None:
        """Remove what has arrived; BLOB_UPLOAD_UNKNOWN."""
        with self.held(repository, upload_id) as upload:
            os.unlink(upload.path)

    def _take(self, upload_id: str) -> _Hash:
        with self._lock:
            return self._hashes.pop(upload_id, None) or _new_hash()

    def _keep(self, upload_id: str, hashed: _Hash) -> None:
        with self._lock:
            self._hashes[upload_id] = hashed
            if len(self._hashes) > HASHES_KEPT:
                self._hashes.popitem(last=False)


def _new_hash() -> _Hash:
    return _Hash(hashlib.sha256(), 0)


def _path(repository: Repository | None, upload_id: str) -> str:
    if repository is None or not _ID.fullmatch(upload_id):
        raise _unknown(upload_id)
    return os.path.join(repository.uploads, upload_id)


def _lock(fd: int, upload_id: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RegistryError(
            "BLOB_UPLOAD_INVALID",
            "another request is writing to this upload: wait for it to end",
            {"upload": upload_id},
            status=409,
        ) from None
    if os.fstat(fd).st_nlink == 0:  # it was finished or cancelled between our open and our lock
        raise _unknown(upload_id)


def _unknown(upload_id: str) -> RegistryError:
    return RegistryError(
        "BLOB_UPLOAD_UNKNOWN",
        "there is no such upload: it was finished or cancelled, or never begun; start again",
        {"upload": upload_id[:64]},
    )
