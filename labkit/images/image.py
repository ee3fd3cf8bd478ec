"""One image as the store shows it: the content of its documents at the moment of reading."""

from collections.abc import Callable
from typing import NamedTuple

from labkit.images import references
from labkit.images.models import Descriptor, History, ImageConfig, Manifest, RuntimeConfig


class Image(NamedTuple):
    """An image of the store.

    `id` is the digest of its config, `digest` that of its manifest.  `names`, sorted, are in the
    form that people write: `busybox:latest`, and `busybox@sha256:…` if it was pulled or pushed by
    this digest, which may be that of an index.  `size_bytes` is the sum of the sizes of its layers'
    files.  `layer_directories()` returns the unpacked layers, the topmost first, ready for
    overlayfs's `lowerdir=`; it unpacks those that are not unpacked yet.  `parent` is the id of the
    image that this one was made from by a build or a commit, `models.SCRATCH` if a build made it
    from nothing, "" if it was made elsewhere.  `tagged` is the last moment when it got a name
    (RFC 3339), "" if that is not known.
    """

    id: str
    digest: str
    names: list[str]
    size_bytes: int
    document: ImageConfig
    manifest: Manifest
    layer_directories: Callable[[], list[str]]
    parent: str = ""
    tagged: str = ""

    @property
    def tags(self) -> list[str]:
        """Its names with a tag; an image without one is *dangling*."""
        return [name for name in self.names if not references.is_digest(name)]

    @property
    def repo_digests(self) -> list[str]:
        """`busybox@sha256:…` for each of its repositories.

        If no registry has given a digest, it is that of the manifest here.
        """
        given = [name for name in self.names if references.is_digest(name)]
        known = set(map(references.repository_of, given))
        others = dict.fromkeys(map(references.repository_of, self.tags))
        return given + [f"{name}@{self.digest}" for name in others if name not in known]

    @property
    def created(self) -> str:
        """Its time of creation, RFC 3339; the zero time of Docker's API if the image has none."""
        return self.document.created or "0001-01-01T00:00:00Z"

    @property
    def config(self) -> RuntimeConfig:
        """The defaults of its containers."""
        return self.document.config or RuntimeConfig()

    @property
    def architecture(self) -> str:
        """The processor it is for, in Go's words: `amd64`, `arm64`."""
        return self.document.architecture

    @property
    def os(self) -> str:
        """The operating system it is for: `linux`."""
        return self.document.os

    @property
    def diff_ids(self) -> list[str]:
        """The digests of its layers' plain archives, the lowest first."""
        return list(self.document.rootfs.diff_ids)

    @property
    def layers(self) -> list[Descriptor]:
        """The compressed layers, the lowest first."""
        return list(self.manifest.layers)

    @property
    def history(self) -> list[History]:
        """The origin of each layer, the lowest first."""
        return list(self.document.history or [])
