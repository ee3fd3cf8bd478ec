"""The mounts that a container asks for: five ways to write them, read, checked and sorted.

`-v` (HostConfig.Binds and Config.Volumes), `--mount` (HostConfig.Mounts), `--tmpfs`
(HostConfig.Tmpfs), `--volumes-from` (HostConfig.VolumesFrom) and the image's VOLUME become one list
of `MountPoint`s.  Nothing is made or opened here: `volumes` beside this file keeps the volumes, and
the plan mounts them.
"""

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from labkit.containers.given import volume_mounts
from labkit.containers.given.tmpfs import tmpfs_flags_and_data
from labkit.containers.records.model import ContainerConfig, HostConfig
from labkit.containers.records.mount_model import PROPAGATIONS, Mount, MountPoint
from labkit.errors import InvalidParameterError, NotFoundError

VOLUME_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
LOCAL_DRIVER = "local"

_MODES: dict[str, str] = {
    "ro": "writing",
    "rw": "writing",
    "z": "label",
    "Z": "label",
    **dict.fromkeys(PROPAGATIONS, "propagation"),
    # Only Docker on macOS and Windows uses these.
    **dict.fromkeys(("consistent", "cached", "delegated"), "consistency"),
    "nocopy": "copy",
}
"""The words after the second colon of `-v` and their kind; a mode has one word of each kind."""


MountsOf = Callable[[str], Sequence[MountPoint]]
"""Returns the mounts of the container with a name; NotFoundError."""


def mount_points(
    config: ContainerConfig, host: HostConfig, mounts_of: MountsOf
) -> list[MountPoint]:
    """Every mount, upper folders first; InvalidParameterError in Docker's words.

    A mount that is asked for replaces an anonymous volume (from the image's VOLUME, for example)
    or a mount of another container at the same path.
    """
    asked: dict[str, MountPoint] = {}
    for point in _asked_for(host):
        if point.destination in asked:
            raise InvalidParameterError(f"Duplicate mount point: {point.destination}")
        asked[point.destination] = point
    others = [_parse_volumes_from(text, mounts_of) for text in host.volumes_from or []]
    found = {point.destination: point for points in others for point in points} | asked
    for path in config.volumes or {}:
        point = _parse_bind(path)
        found.setdefault(point.destination, point)
    return sorted(found.values(), key=lambda point: depth(point.destination))


def _parse_volumes_from(text: str, mounts_of: MountsOf) -> list[MountPoint]:
    """The mounts of `CONTAINER[:MODE]`; `ro` makes them read-only."""
    ref, _, mode = text.partition(":")
    check_mode(mode)
    read_only = "ro" in mode.split(",")
    return [
        msgspec.structs.replace(point, read_only=point.read_only or read_only, copies_up=False)
        for point in mounts_of(ref)
        if point.type != "tmpfs"
    ]


def depth(path: str) -> int:
    """The depth of a normalised path: a mount on `/a` must not cover one on `/a/b`."""
    return path.count("/")


def _asked_for(host: HostConfig) -> Iterator[MountPoint]:
    for path, options in (host.tmpfs or {}).items():
        tmpfs_flags_and_data(options)
        yield MountPoint("tmpfs", _destination(path, "tmpfs"), options=options)
    for text in host.binds or []:
        yield _parse_bind(text)
    for mount in host.mounts or []:
        yield _from_mount(mount)


def _parse_bind(text: str) -> MountPoint:
    """Read `[SOURCE:]DESTINATION[:MODE]`, where SOURCE is a path or a volume's name."""
    words = text.split(":")
    if not words[0] or len(words) > 3 or (len(words) == 2 and _is_mode(words[1])):
        raise InvalidParameterError(f"invalid volume specification: '{text}'")
    if len(words) == 1:
        words = ["", *words]
    source, destination, mode = (*words, "")[:3]
    check_mode(mode)
    kind = "bind" if source.startswith("/") else "volume"
    try:
        place = _destination(destination, kind)
    except InvalidParameterError as error:
        raise InvalidParameterError(f"invalid volume specification: '{text}': {error}") from None
    if kind == "volume" and source:
        check_name(source)
    options = mode.split(",")
    spread = next((word for word in options if word in PROPAGATIONS), "")
    if (spread and kind == "volume") or ("nocopy" in options and kind == "bind"):
        raise InvalidParameterError(f"invalid volume specification: '{text}': invalid mode: {mode}")
    return MountPoint(
        kind,
        place,
        name=source if kind == "volume" else "",
        source=posixpath.normpath(source) if kind == "bind" else "",
        anonymous=not source,
        mode=mode or ("z" if kind == "volume" and source else ""),
        read_only="ro" in options,
        copies_up="nocopy" not in options,
        makes_source=True,
        propagation=spread,
    )


def check_mode(text: str) -> None:
    """InvalidParameterError for a bad word after the second colon of `-v`."""
    if not _is_mode(text):
        raise InvalidParameterError(f"invalid mode: {text}")


def _is_mode(text: str) -> bool:
    words = text.split(",") if text else []
    matters = [_MODES.get(word) for word in words]
    return None not in matters and len(set(matters)) == len(matters)


def _from_mount(mount: Mount) -> MountPoint:
    reader = _MOUNT_READERS.get(mount.type)
    if reader is None:
        raise _bad_mount(mount.type, "mount type unknown")
    if not mount.target:
        raise _bad_mount(mount.type, "field Target must not be empty")
    for kind, options in (
        ("bind", mount.bind_options),
        ("volume", mount.volume_options),
        ("tmpfs", mount.tmpfs_options),
        ("image", mount.image_options),
    ):
        if options is not None and kind != mount.type:
            raise _bad_mount(mount.type, f"field {kind.capitalize()}Options must not be specified")
    point = reader(mount)
    point.read_only = mount.read_only or mount.type == "image"
    return point


def _bind_of(mount: Mount) -> MountPoint:
    place = _destination(mount.target, "bind")
    if not mount.source:
        raise _bad_mount("bind", "field Source must not be empty")
    if not mount.source.startswith("/"):
        raise _bad_mount(
            "bind", f"invalid mount path: '{mount.source}' mount path must be absolute"
        )
    options = mount.bind_options
    makes_source = options is not None and options.create_mountpoint
    if options is not None and options.propagation not in ("", *PROPAGATIONS):
        raise _bad_mount("bind", f"invalid propagation mode: {options.propagation}")
    source = posixpath.normpath(mount.source)
    if not makes_source and not os.path.exists(source):
        raise _bad_mount("bind", f"bind source path does not exist: {source}")
    point = MountPoint("bind", place, source=source, makes_source=makes_source)
    if options is not None:
        point.propagation = options.propagation
        point.recursive = not options.non_recursive
        point.read_only_recursive = not options.read_only_non_recursive
    return point


def _volume_of(mount: Mount) -> MountPoint:
    place = _destination(mount.target, "volume")
    if mount.source:
        check_name(mount.source)
    point = MountPoint("volume", place, name=mount.source, anonymous=not mount.source, mode="z")
    options = mount.volume_options
    if options is not None:
        if options.subpath:
            if not is_local(options.subpath):
                raise _bad_mount("volume", "subpath must be a relative path within the volume")
            point.subpath = options.subpath
        if (config := options.driver_config) is not None:
            check_volumes_driver(config.name, config.options)
            point.driver_options = config.options or {}
        point.copies_up = not options.no_copy
        point.labels = options.labels or {}
    return point


def _tmpfs_of(mount: Mount) -> MountPoint:
    place = _destination(mount.target, "tmpfs")
    if mount.source:
        raise _bad_mount("tmpfs", "field Source must not be specified")
    words = []
    options = mount.tmpfs_options
    if options is not None:
        if not 0 <= options.size_bytes < 2**63 or not 0 <= options.mode <= 0o7777:
            raise _bad_mount("tmpfs", "SizeBytes or Mode is out of range")
        if options.size_bytes:
            words.append(f"size={options.size_bytes}")
        if options.mode:
            words.append(f"mode={options.mode:o}")
        words.extend("=".join(option) for option in options.options or [])
    text = ",".join(words)
    tmpfs_flags_and_data(text)
    return MountPoint("tmpfs", place, options=text)


def _image_of(mount: Mount) -> MountPoint:
    place = _destination(mount.target, "image")
    if not mount.source:
        raise _bad_mount("image", "field Source must not be empty")
    subpath = mount.image_options.subpath if mount.image_options else ""
    if not is_local(subpath):
        raise _bad_mount("image", "subpath must be a relative path within the image")
    return MountPoint("image", place, name=mount.source, subpath=subpath)


_MOUNT_READERS = {
    "bind": _bind_of,
    "volume": _volume_of,
    "tmpfs": _tmpfs_of,
    "image": _image_of,
}


def _destination(path: str, kind: str) -> str:
    """The normal form of a path in a container; mounts on "/" and in /proc are refused."""
    if not path.startswith("/"):
        raise _bad_mount(kind, f"invalid mount path: '{path}' mount path must be absolute")
    # On Linux two slashes at the beginning mean one, but posixpath keeps both.
    place = "/" + posixpath.normpath(path).lstrip("/")
    if "\0" in place:
        raise _bad_mount(kind, "invalid mount path: it has a NUL byte")
    if place == "/":
        raise _bad_mount(kind, "invalid specification: destination can't be '/'")
    if f"{place}/".startswith("/proc/"):
        raise _bad_mount(kind, f"{place} cannot be mounted because it is inside /proc")
    return place


def _bad_mount(kind: str, why: str) -> InvalidParameterError:
    return InvalidParameterError(f'invalid mount config for type "{kind}": {why}')


def is_local(path: str) -> bool:
    """Whether a path stays in its base folder if no symbolic link leads out of it."""
    return not path.startswith("/") and ".." not in path.split("/")


def check_name(name: str) -> None:
    """InvalidParameterError for a name that no volume may have (Docker's rule)."""
    if len(name) == 1:
        raise InvalidParameterError(
            f"create {name}: volume name is too short, names should be at least two alphanumeric "
            "characters"
        )
    if not VOLUME_NAME.fullmatch(name) or len(name) > 255:
        raise InvalidParameterError(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )


def check_volumes_driver(driver: str, options: dict[str, str] | None = None) -> None:
    """Check the driver of a container's volumes; InvalidParameterError.

    A client takes "not found" at a container's creation for the image, and pulls that.
    """
    try:
        check_driver(driver, options)
    except NotFoundError as error:
        raise InvalidParameterError(str(error)) from None


def check_driver(driver: str, options: dict[str, str] | None) -> None:
    """Refuse a volume driver, or an option of one, that labkit does not have.

    NotFoundError, InvalidParameterError.
    """
    if driver not in ("", LOCAL_DRIVER):
        raise NotFoundError(
            f'error looking up volume plugin {driver}: plugin "{driver}" not found: labkit has the '
            "volume driver local"
        )
    volume_mounts.check(options or {})
