"""The JSON documents of an image, with the fields of the OCI image specification 1.1.

An image is a small tree of blobs, each named by the SHA-256 of its bytes: `index.json` points to
manifests, a manifest points to one config and to the layers.  The documents may come from untrusted
sources, so the form of digests is checked: they become names of files.
"""

from typing import Annotated

import msgspec

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = f"{LAYER}+gzip"
LAYER_ZSTD = f"{LAYER}+zstd"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
OCI_LAYERS = {DOCKER_LAYER_GZIP: LAYER_GZIP, DOCKER_LAYER: LAYER}
"""OCI's media type for each of Docker's media types of layers."""

MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
"""One image.  Docker's schema 2 has the fields of OCI's manifest, and other media types."""
INDEXES = frozenset({INDEX, DOCKER_INDEX})
"""One image for several architectures."""

REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that gives a manifest in `index.json` its name; see `labkit.images.layout`."""
PARENT = "labkit.image.parent"
"""The annotation, in `index.json` as well, for the id of the image that this one was made from."""
TAGGED = "labkit.image.tagged"
"""The annotation for the moment (RFC 3339) when the image got the name."""
SCRATCH = "scratch"
"""The word for nothing in FROM: the parent of an image built on nothing.  An image that was
made elsewhere has no parent."""

DOCUMENT_MAX_BYTES = 8 << 20
"""Manifests and configs are read whole, so there is a limit; registries have one of 4 MiB."""

LAYOUT_VERSION = "1.0.0"

Digest = Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
"""No other field here has a pattern: `reason` relies on it."""


def reason(error: Exception) -> str:
    """Return why a document cannot be read, in msgspec's words, except for a bad digest."""
    _, has_pattern, where = str(error).partition(" matching regex ")
    if not has_pattern:
        return str(error)
    field = where.rpartition(" - at ")[2]
    return f"{field} is not a digest that labkit knows: it must be sha256: and 64 digits of 0-9a-f"


class Platform(msgspec.Struct, omit_defaults=True):
    """The machine that an image runs on, in Go's words: `linux`, `amd64`."""

    architecture: str
    os: str
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: list[str] | None = msgspec.field(default=None, name="os.features")


class Descriptor(msgspec.Struct, rename="camel", omit_defaults=True):
    """A pointer to a blob: its media type, its digest, its size in bytes."""

    media_type: str
    digest: Digest
    size: Annotated[int, msgspec.Meta(ge=0)]
    urls: list[str] | None = None
    annotations: dict[str, str] | None = None
    data: str | None = None
    artifact_type: str | None = None
    platform: Platform | None = None


class Kind(msgspec.Struct, rename="camel"):
    """The fields that tell an index from a manifest."""

    media_type: str = ""
    manifests: list[msgspec.Raw] | None = None

    def is_index(self) -> bool:
        """Whether it is one image for several architectures; OCI's may lack the media type."""
        return self.media_type in INDEXES or (not self.media_type and self.manifests is not None)


class Index(msgspec.Struct, rename="camel", omit_defaults=True):
    """A list of manifests: `index.json`, or one image for several architectures."""

    schema_version: int = msgspec.field()
    media_type: str | None = None
    artifact_type: str | None = None
    manifests: list[Descriptor] = msgspec.field(default_factory=list)
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Manifest(msgspec.Struct, rename="camel", omit_defaults=True):
    """One image: its config and its layers, the lowest first."""

    schema_version: int
    config: Descriptor
    layers: list[Descriptor]
    media_type: str | None = None
    artifact_type: str | None = None
    subject: Descriptor | None = None
    annotations: dict[str, str] | None = None


class Healthcheck(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The health check of a container: Docker's field, which the OCI specification does not define.

    Times are in nanoseconds; 0 means the default.
    """

    test: list[str] | None = None
    """`["CMD", word…]`, `["CMD-SHELL", line]`, or `["NONE"]`."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RuntimeConfig(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The defaults of a container of the image.  `None`: not set."""

    user: str = ""
    exposed_ports: dict[str, dict[str, str]] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    volumes: dict[str, dict[str, str]] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    on_build: list[str] | None = None
    """Docker's: instructions for a build that begins with this image."""
    shell: list[str] | None = None
    """Docker's: the program for the shell form of commands, by default `/bin/sh -c`."""


class RootFs(msgspec.Struct):
    """The layers by the digests of their uncompressed archives (`diff_id`s), the lowest first."""

    type: str
    diff_ids: list[Digest]


class History(msgspec.Struct, omit_defaults=True):
    """The origin of one layer."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, omit_defaults=True):
    """The document whose digest is the image's id."""

    architecture: str
    os: str
    rootfs: RootFs
    created: str | None = None
    author: str = ""
    config: RuntimeConfig | None = None
    history: list[History] | None = None
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
