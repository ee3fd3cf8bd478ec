"""Manifests as the registry reads them: their kind, and the blobs they need.

image-spec "manifest.md" and "image-index.md"; Docker's image manifest version 2, schema 2, which
has the same fields under other media types.
"""

from typing import Annotated, NamedTuple

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.images import models
from labkit.images.models import INDEX, MANIFEST, Descriptor
from labkit.registry.server.errors import RegistryError

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
LISTS = (INDEX, DOCKER_LIST)
MEDIA_TYPES = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST)
LIMIT_BYTES = 4 * 1024 * 1024
"""The size that every registry must accept; this one accepts no more (distribution-spec)."""

NOT_DISTRIBUTED = (
    "application/vnd.docker.image.rootfs.foreign.",
    "application/vnd.oci.image.layer.nondistributable.",
)
"""The media types of layers that are elsewhere, under their `urls`."""


class Document(msgspec.Struct, rename="camel"):
    """The fields of both kinds of manifests that a registry reads."""

    schema_version: Annotated[int, msgspec.Meta(ge=2, le=2)]
    media_type: str = ""
    artifact_type: str = ""
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None
    manifests: list[Descriptor] | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None

    @property
    def blobs(self) -> list[Descriptor]:
        """The blobs that a pull needs, including those that an index lists beside manifests.

        image-spec "image-index.md" allows that; BuildKit exports its cache in this form.
        """
        listed = [one for one in self.manifests or [] if one.media_type not in MEDIA_TYPES]
        layers = [
            one for one in self.layers or [] if not one.media_type.startswith(NOT_DISTRIBUTED)
        ]
        return [*([self.config] if self.config else []), *layers, *listed]

    @property
    def images(self) -> list[Descriptor]:
        """The manifests that an index lists."""
        return [one for one in self.manifests or [] if one.media_type in MEDIA_TYPES]

    @property
    def kind(self) -> str:
        """The `artifactType` for the referrers API."""
        return self.artifact_type or (self.config.media_type if self.config else "")


class Received(NamedTuple):
    """A manifest from a client."""

    media_type: str
    data: bytes
    document: Document


def read(data: bytes) -> Document:
    """Return the fields of a manifest; MANIFEST_INVALID."""
    try:
        return msgspec.json.decode(data, type=Document)
    except UNREADABLE as error:
        raise _invalid(f"the manifest cannot be read: {models.reason(error)}") from None


def receive(data: bytes, content_type: str) -> Received:
    """Return the manifest from a client with its media type; MANIFEST_INVALID."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        said = f"Content-Type: {media_type[:100]}" if media_type else "a request without it"
        raise _invalid(f"the Content-Type of a manifest is one of {', '.join(MEDIA_TYPES)}; {said}")
    document = read(data)
    if document.media_type and document.media_type != media_type:
        raise _invalid(
            f"the manifest says it is {document.media_type[:100]}, the request says {media_type}"
        )
    if media_type in LISTS:
        if document.manifests is None or document.config or document.layers is not None:
            raise _invalid("an index has manifests, and neither config nor layers")
    elif document.config is None or document.layers is None or document.manifests is not None:
        raise _invalid("a manifest has config and layers, and no manifests")
    return Received(media_type, data, document)


def _invalid(message: str) -> RegistryError:
    return RegistryError("MANIFEST_INVALID", message)
