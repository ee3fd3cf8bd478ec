"""Mounts as a client asks for them (`--mount`), and as a container's record keeps them."""

import msgspec

SHARED = frozenset({"shared", "rshared", "slave", "rslave"})
PROPAGATIONS = (*sorted(SHARED), "private", "rprivate")
"""How what is mounted later below a mount spreads to its like on the host (mount_namespaces(7))."""


class BindOptions(msgspec.Struct, rename="pascal"):
    """What only a bind mount can be told."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    """Make the source if it is missing."""
    read_only_non_recursive: bool = False
    """Read-only is the mount alone, not what is mounted below it."""
    read_only_force_recursive: bool = False


class DriverConfig(msgspec.Struct, rename="pascal"):
    """Who keeps a volume."""

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(msgspec.Struct, rename="pascal"):
    """What only a volume can be told."""

    no_copy: bool = False
    labels: dict[str, str] | None = None
    driver_config: DriverConfig | None = None
    subpath: str = ""


class ImageOptions(msgspec.Struct, rename="pascal"):
    """What only an image that is mounted can be told."""

    subpath: str = ""


class TmpfsOptions(msgspec.Struct, rename="pascal"):
    """What only a tmpfs can be told."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(msgspec.Struct, rename="pascal"):
    """One `--mount` of the Docker Engine API."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    tmpfs_options: TmpfsOptions | None = None
    image_options: ImageOptions | None = None


class MountPoint(msgspec.Struct, rename="pascal"):
    """One mount of a container, whichever way it was asked for."""

    type: str
    """`bind`, `volume`, `tmpfs` or `image`."""
    destination: str
    name: str = ""
    """The volume's, or the image's."""
    source: str = ""
    """The folder or file of the host, or the image's id; a volume's is known once it is claimed."""
    anonymous: bool = False
    """A volume that nobody named: it goes with its container, if the user says so."""
    mode: str = ""
    read_only: bool = False
    copies_up: bool = True
    """Whether a new volume begins with what the image has at its place."""
    makes_source: bool = False
    """Whether a missing source of a bind mount is made."""
    options: str = ""
    """A tmpfs's, as the user wrote them."""
    propagation: str = ""
    """Of `PROPAGATIONS`, for a bind mount."""
    recursive: bool = True
    """Whether a bind mount shows what is mounted below its source."""
    read_only_recursive: bool = True
    """Whether that is read-only as well."""
    subpath: str = ""
    """The part of a volume or an image that is shown."""
    driver_options: dict[str, str] = msgspec.field(default_factory=dict)
    """For a volume that is made."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """For a volume that is made."""
