"""Mounts: in a client's request (`--mount`), and in a container's record."""

import msgspec

SHARED = frozenset({"shared", "rshared", "slave", "rslave"})
PROPAGATIONS = (*sorted(SHARED), "private", "rprivate")
"""Whether mounts made later below a mount also appear in its peers (mount_namespaces(7))."""


class BindOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The options of a bind mount."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    """Make the source if it is missing."""
    read_only_non_recursive: bool = False
    """Make only the mount itself read-only, not the mounts below it."""
    read_only_force_recursive: bool = False


class DriverConfig(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The driver that stores a volume."""

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The options of a volume."""

    no_copy: bool = False
    labels: dict[str, str] | None = None
    driver_config: DriverConfig | None = None
    subpath: str = ""


class ImageOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The options of a mounted image."""

    subpath: str = ""


class TmpfsOptions(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The options of a tmpfs."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(msgspec.Struct, rename="pascal", omit_defaults=True):
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
    """One mount of a container, from any of the options that ask for mounts."""

    type: str
    """`bind`, `volume`, `tmpfs` or `image`."""
    destination: str
    name: str = ""
    """The name of the volume or the image."""
    source: str = ""
    """The host's folder or file, or the image's id; a volume's folder is set by the claim."""
    anonymous: bool = False
    """A volume without a name from its user; it can be removed with its container."""
    mode: str = ""
    read_only: bool = False
    copies_up: bool = True
    """Whether a new volume begins with the image's files at its path."""
    makes_source: bool = False
    """Whether to make the missing source of a bind mount."""
    options: str = ""
    """The options of a tmpfs, as the user wrote them."""
    propagation: str = ""
    """One of `PROPAGATIONS`, for a bind mount."""
    recursive: bool = True
    """Whether a bind mount includes the mounts below its source."""
    read_only_recursive: bool = True
    """Whether those mounts are read-only too."""
    subpath: str = ""
    """The folder or file in the volume or the image that is mounted."""
    driver_options: dict[str, str] = msgspec.field(default_factory=dict)
    """For a volume that the mount creates."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    """For a volume that the mount creates."""
