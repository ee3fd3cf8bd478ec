"""Build caches in a repository of a registry, which keeps them as it keeps images."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event
from typing import BinaryIO

from labkit.images.models import Descriptor
from labkit.images.references import Reference
from labkit.registry.client.errors import RegistryError, StoppedError
from labkit.registry.client.repository import Repository
from labkit.transfers.remotes import Access, asked, push_error, registries


class RegistryCache:
    """One cache, by a name such as an image has; one connection for each request."""

    def __init__(
        self, reference: Reference, access: Access, is_stopped: Callable[[], bool]
    ) -> None:
        """`is_stopped` says that the build was cancelled."""
        self.name = reference.familiar
        self._reference = reference
        self._access = access
        self._is_stopped = is_stopped
        self._stop = Event()

    def manifest(self) -> bytes:
        """Return the manifest; NotFoundError, RegistryError, UnreachableError."""
        wanted = self._reference.digest or self._reference.tag
        with asked(
            self._reference, self._access, self._stop, lambda found: found.manifest(wanted)
        ) as (_, received):
            return received.data

    def fetch(self, blob: Descriptor, path: str) -> None:
        """Download a blob to a new file."""
        with self._repository() as (repository, _):
            repository.download(blob, path, self._tell)

    def put(self, blob: Descriptor, open_blob: Callable[[], BinaryIO]) -> None:
        """Upload a blob, unless it is there."""

        def upload(repository: Repository) -> None:
            if not repository.has_blob(blob.digest):
                repository.upload(blob, open_blob, self._tell).send()

        self._pushing(upload)

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        """Store the manifest under the name's tag."""
        tag = self._reference.tag
        self._pushing(lambda repository: repository.put_manifest(tag, manifest, data))

    def _repository(self) -> AbstractContextManager[tuple[Repository, None]]:
        return asked(self._reference, self._access, self._stop, lambda _: None)

    def _pushing(self, act: Callable[[Repository], None]) -> None:
        for registry in registries(self._reference, self._access, self._stop):
            try:
                act(Repository(registry, self._reference.path, pushes=True))
            except RegistryError as error:
                raise push_error(error, self._reference) from error
            return

    def _tell(self, _: int) -> None:
        if self._is_stopped():
            raise StoppedError("stopped")
