"""From the mounts that a container asked for to the plan's: their sources and their order."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence

from labkit.containers.given.mounts import depth
from labkit.containers.given.tmpfs import tmpfs_flags_and_data
from labkit.containers.given.volumes import ANONYMOUS_LABEL, Volumes, volume_name
from labkit.containers.parts import Parts
from labkit.containers.records import id_ranges
from labkit.containers.records.model import Container
from labkit.containers.records.mount_model import SHARED, MountPoint
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError, StartError
from labkit.kernel import mounts
from labkit.kernel.mounts import MS_RDONLY
from labkit.runtime.spec import AnyMount, BindMount, ImageMount, TmpfsMount

CopyUp = Callable[[str, str], None]
"""Copies the image's files at a path (the first argument) into a folder (the second)."""

Layers = Callable[[str], Sequence[str]]
"""Returns the unpacked layers of the image with an id, the topmost first; NotFoundError."""

_WHY = {
    "bind": "a file or folder of the host, shown inside: both sides see every change",
    "volume": "a folder that outlives the container, outside of the writable layer",
}


def check_without(container: Container) -> None:
    """InvalidParameterError if the mount points would be made on the host itself."""
    if container.mount_points and {"pivot_root", "mount.root"} & set(container.without):
        raise InvalidParameterError(
            "--without pivot_root and mounts exclude each other: the mount points would be made "
            "on the host; leave out the mounts"
        )


def name_unnamed(container: Container) -> list[str]:
    """Choose names for the anonymous volumes and return them; no volume is made yet."""
    points = [point for point in container.mount_points if point.type == "volume"]
    nameless = [point for point in points if not point.name]
    for point in nameless:
        point.name = volume_name()
        point.labels = point.labels | {ANONYMOUS_LABEL: ""}
    return [point.name for point in nameless]


def find_images(parts: Parts, points: Sequence[MountPoint]) -> None:
    """Look up the ids of the images that are mounted; InvalidParameterError."""
    for point in points:
        if point.type == "image":
            try:
                point.source = parts.images.resolve(point.name).id
            except NotFoundError as error:
                raise InvalidParameterError(
                    f'invalid mount config for type "image": {error}: pull it first'
                ) from None


def claim(volumes: Volumes, container: Container, copy_up: CopyUp) -> None:
    """Claim every volume that a new container mounts, and fill the new ones."""
    for point in container.mount_points:
        if point.type != "volume":
            continue

        def fill(folder: str, place: str = point.destination) -> None:
            copy_up(place, folder)

        volume = volumes.claim(
            *(point.name, container.id, point.labels),
            fill=fill if point.copies_up and not point.subpath else None,
            options=point.driver_options,
        )
        point.name, point.source = volume.name, volume.data


def take_note(volumes: Volumes, container: Container) -> None:
    """Record that an existing container uses its volumes."""
    volumes.take_note(_volume_names(container), container.id)


def remove_unnamed(volumes: Volumes, names: Iterable[str]) -> None:
    """Remove the volumes with these names, if they exist and are anonymous and unused."""
    for name in names:
        with contextlib.suppress(LabkitError):
            if volumes.find(name).is_anonymous:
                volumes.remove(name)


def unnamed(container: Container) -> list[str]:
    """The anonymous volumes that are removed with a container, if its user asks for it."""
    return [point.name for point in container.mount_points if point.anonymous and point.name]


def release(volumes: Volumes, container: Container, *, remove_anonymous: bool) -> None:
    """Release the volumes of a container that was removed or never made.

    Its anonymous volumes are removed too, if asked.
    """
    volumes.release(_volume_names(container), container.id)
    if remove_anonymous:
        # Another container may use it by its long name, or a user may have removed it.
        remove_unnamed(volumes, unnamed(container))


def _volume_names(container: Container) -> list[str]:
    return [point.name for point in container.mount_points if point.type == "volume" and point.name]


def mount_volumes(parts: Parts, container: Container) -> None:
    """Before a start: mount the volumes that have options; StartError."""
    for name in _volume_names(container):
        parts.volumes.mount(name)


def unmount_volumes(parts: Parts, container: Container) -> None:
    """Unmount the volumes with options of an ended container that no other container uses."""

    def is_in_use(name: str) -> bool:
        return any(
            entry.is_running and name in _volume_names(entry.container)
            for entry in parts.lookup.all()
            if entry.container is not container
        )

    for name in _volume_names(container):
        parts.volumes.unmount(name, is_in_use)


def make_sources(container: Container) -> None:
    """Before a start: make the missing folders of the host for `-v`, as Docker does.

    Their owner is the container's root.
    """
    for point in container.mount_points:
        if point.type == "bind" and point.propagation in SHARED:
            _check_propagation(point)
        if point.type != "bind" or os.path.lexists(point.source):
            continue
        if not point.makes_source:
            raise StartError(
                'invalid mount config for type "bind": bind source path does not exist: '
                f"{point.source}",
                step="mount.bind",
            )
        try:
            _make_folders(point.source, *id_ranges.root_of(container))
        except OSError as error:
            raise StartError(
                f"error while creating mount source path '{point.source}': {error.strerror}",
                step="mount.bind",
            ) from error


def _check_propagation(point: MountPoint) -> None:
    """StartError, in Docker's words, if the host's own mount propagates nothing."""
    found = mounts.mount_of(os.path.realpath(point.source))
    peers = found.peers if found else ()
    kinds = ("shared",) if point.propagation.endswith("shared") else ("shared", "master")
    if found and not any(peer.startswith(kinds) for peer in peers):
        what = " or ".join(kind.replace("master", "slave") for kind in kinds)
        raise StartError(
            f"path {point.source} is mounted on {found.target} but it is not a {what} mount",
            step="mount.bind",
        )


def _make_folders(path: str, uid: int, gid: int) -> None:
    above = os.path.dirname(path)
    if not os.path.lexists(above):
        _make_folders(above, uid, gid)
    os.mkdir(path, 0o755)
    os.chown(path, uid, gid)


def in_order(
    own: Sequence[AnyMount], points: Sequence[MountPoint], layers: Layers
) -> tuple[AnyMount, ...]:
    """Labkit's own mounts and the user's, upper folders first.

    A user's mount, on /etc/hosts for example, replaces labkit's mount on the same path.
    """
    taken = {point.destination for point in points}
    kept = [mount for mount in own if mount.target not in taken]
    asked = [planned(point, layers) for point in points]
    return tuple(sorted([*kept, *asked], key=lambda mount: depth(mount.target)))


def planned(point: MountPoint, layers: Layers) -> AnyMount:
    """A mount in the form of the plan."""
    name = f"mount.{point.type}"
    if point.type == "tmpfs":
        flags, data = tmpfs_flags_and_data(point.options)
        flags |= MS_RDONLY if point.read_only else 0
        why = "an empty folder in memory, removed when the container ends"
        return TmpfsMount(name, why, point.destination, flags, data)
    if point.type == "image":
        why = "another image's files, read-only: they have no writable layer"
        found = tuple(layers(point.source))
        return ImageMount(name, why, found, point.destination, point.subpath)
    return BindMount(
        *(name, _WHY[point.type], point.source, point.destination),
        read_only=point.read_only,
        subpath=point.subpath,
        recursive=point.recursive,
        read_only_recursive=point.read_only_recursive,
        propagation=point.propagation if point.propagation in SHARED else "",
    )
