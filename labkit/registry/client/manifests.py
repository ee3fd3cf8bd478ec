"""Manifests and indexes from registries: bytes, a digest, a media type."""

import hashlib
from typing import NamedTuple, TypeVar

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.images.models import INDEXES, MANIFESTS, Descriptor, Index, Manifest, reason
from labkit.registry.client.errors import RegistryError, printable

_T = TypeVar("_T")

ACCEPT = ", ".join(sorted(MANIFESTS | INDEXES))
FIRST_SCHEMA = "application/vnd.docker.distribution.manifest.v1+"
CONFIG_LIMIT_BYTES = 16 << 20
LAYER_LIMIT = 4096
"""More than any image has; overlayfs takes 500."""


class _Head(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""


class Received(NamedTuple):
    """A manifest or an index, byte for byte as the registry has it."""

    descriptor: Descriptor
    data: bytes

    @property
    def is_index(self) -> bool:
        """Whether it is an image for several platforms."""
        return self.descriptor.media_type in INDEXES

    def as_index(self) -> Index:
        """Return it as an index; RegistryError if it is none."""
        return _decoded(self.data, Index, self.descriptor.digest)

    def as_manifest(self) -> Manifest:
        """Return it as one image's manifest; RegistryError if it is none, or an absurd one."""
        manifest = _decoded(self.data, Manifest, self.descriptor.digest)
        if len(manifest.layers) > LAYER_LIMIT:
            raise _invalid(self.descriptor.digest, f"it has {len(manifest.layers)} layers")
        if manifest.config.size > CONFIG_LIMIT_BYTES:
            raise _invalid(self.descriptor.digest, f"its config has {manifest.config.size} bytes")
        return manifest


def received(data: bytes, content_type: str, told_digest: str, wanted: str) -> Received:
    """Return the answer to a request for the tag or digest `wanted`.

    `told_digest` is the header `Docker-Content-Digest`.  RegistryError if digests differ, or the
    document is no image.
    """
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    for said in (wanted, told_digest):
        if said.startswith("sha256:") and said != digest:
            raise _invalid(said, f"its content has the digest {digest}")
    head = _decoded(data, _Head, wanted)
    media_type = head.media_type or content_type.partition(";")[0].strip()
    if media_type.startswith(FIRST_SCHEMA) or head.schema_version == 1:
        raise _invalid(
            wanted, "it is in Docker's old schema 1, which labkit does not read. Push it again"
        )
    if media_type not in MANIFESTS | INDEXES:
        raise _invalid(wanted, f'its media type "{printable(media_type)}" is not for images')
    return Received(Descriptor(media_type, digest, len(data)), data)


def _invalid(name: str, why: str) -> RegistryError:
    return RegistryError(200, "MANIFEST_INVALID", f"manifest {name} cannot be used: {why}")


def _decoded(data: bytes, kind: type[_T], name: str) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        raise _invalid(name, printable(reason(error))) from None
