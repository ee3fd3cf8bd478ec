"""The content of a registry under one name: manifests, blobs, tags."""

from collections.abc import Iterator
from typing import Any

import httpx
import msgspec

from labkit.images.models import Descriptor
from labkit.registry.client import downloads, manifests
from labkit.registry.client.errors import RegistryError
from labkit.registry.client.registry import Registry
from labkit.registry.client.uploads import Open, Tell, Upload

PAGE_TAGS = 1000
TAGS_LIMIT = 100_000


class _TagList(msgspec.Struct):
    tags: list[str] | None = None


class Repository:
    """A repository of a registry, by its path: `library/busybox`; several threads may use it.

    Methods raise `RegistryError` if the registry refuses or sends an invalid answer,
    `UnreachableError` if it does not answer, `StoppedError`.
    """

    def __init__(self, registry: Registry, path: str, *, pushes: bool = False) -> None:
        self.registry = registry
        self.path = path
        self._scopes = (f"repository:{path}:{'pull,push' if pushes else 'pull'}",)

    def manifest(self, reference: str) -> manifests.Received:
        """Return the manifest or index with this tag or digest."""
        with self.registry.open(
            "GET",
            self._url(f"manifests/{reference}"),
            scopes=self._scopes,
            headers={"Accept": manifests.ACCEPT},
        ) as response:
            data = self.registry.whole(response)
        headers = response.headers
        return manifests.received(
            data,
            headers.get("Content-Type", ""),
            headers.get("Docker-Content-Digest", ""),
            reference,
        )

    def put_manifest(self, reference: str, descriptor: Descriptor, data: bytes) -> None:
        """Store a manifest under a tag or its digest; all that it names must be there already."""
        with self.registry.open(
            "PUT",
            self._url(f"manifests/{reference}"),
            scopes=self._scopes,
            headers={"Content-Type": descriptor.media_type},
            source=data,
            expected=(200, 201, 202),
        ) as response:
            self.registry.whole(response)

    def tags(self) -> Iterator[str]:
        """Yield all tags, page after page."""
        url = self._url("tags/list").copy_merge_params({"n": str(PAGE_TAGS)})
        count = 0
        while True:
            answer, response = self.registry.document(url, _TagList, self._scopes)
            tags: list[str] = answer.tags or []
            yield from tags
            count += len(tags)
            following = response.links.get("next", {}).get("url", "")
            if not following or not tags:
                return
            if count > TAGS_LIMIT:
                raise RegistryError(200, "", f"{self.path} has over {TAGS_LIMIT} tags")
            url = response.url.join(following)

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has this blob."""
        with self.registry.open(
            "HEAD", self._url(f"blobs/{digest}"), scopes=self._scopes, expected=(200, 404)
        ) as response:
            return response.status_code == 200

    def document(self, blob: Descriptor, kind: type[Any]) -> Any:
        """Return a small JSON blob, decoded, such as an image's config."""
        url = self._url(f"blobs/{blob.digest}")
        return self.registry.document(url, kind, self._scopes)[0]

    def download(self, descriptor: Descriptor, path: str, tell: downloads.Tell) -> None:
        """Download a blob to a new file; on return it is complete and matches its digest."""
        received = downloads.Received(path, descriptor, tell, self.registry.stop)
        try:
            url = self._url(f"blobs/{descriptor.digest}")
            downloads.download(self.registry, url, self._scopes, received)
        finally:
            received.close()

    def upload(self, descriptor: Descriptor, open_blob: Open, tell: Tell) -> Upload:
        """Return an upload of a blob to this repository."""
        uploads = self._url("blobs/uploads/")
        return Upload(
            self.registry, uploads, self._scopes, descriptor, open_blob=open_blob, tell=tell
        )

    def _url(self, what: str) -> httpx.URL:
        return self.registry.url(f"/v2/{self.path}/{what}")
