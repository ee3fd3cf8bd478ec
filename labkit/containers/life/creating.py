"""Creating a container: the request is checked and completed, and its record is written.

Nothing runs yet, and the kernel has nothing to do before the start (`starting`).
"""

import contextlib
import functools
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from labkit.containers.given import (
    devices,
    disks,
    etc_files,
    log_options,
    mounting,
    mounts,
    namespaces,
    network_wishes,
    networking,
    security,
    ulimits,
)
from labkit.containers.inside.files import ContainerFiles
from labkit.containers.life import health, restarts, specification, starting
from labkit.containers.parts import Parts
from labkit.containers.records import names, states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import (
    Container,
    ContainerConfig,
    DeviceNode,
    DiskNode,
    HostConfig,
    State,
)
from labkit.containers.records.mount_model import MountPoint
from labkit.dialect.moments import timestamp
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import Image
from labkit.kernel import power
from labkit.networks import EndpointConfig, Sandbox

SHORT_ID_LENGTH = 12


def create(
    parts: Parts,
    files: ContainerFiles,
    config: ContainerConfig,
    host_config: HostConfig,
    *,
    name: str,
    without: Sequence[str],
    endpoints: Mapping[str, EndpointConfig],
    takes_volumes: bool,
) -> tuple[Container, list[str]]:
    """Make a container that can be started; returns it and the warnings for the user.

    NotFoundError (no such image), ConflictError (name in use), InvalidParameterError.
    """
    image = parts.images.resolve(config.image)
    if not takes_volumes:
        own = msgspec.structs.replace(image.config, volumes=None)
        image = image._replace(document=msgspec.structs.replace(image.document, config=own))
    container, warnings = _completed(parts, config, host_config, image, endpoints)
    container.without = list(without)
    container.name = _name(parts, name)
    mounting.check_without(container)
    placement = starting.place(parts, container)
    if without:
        draft = networking.draft(parts, container)
        # Raises for unknown steps.
        starting.make_plan(parts, container, image, placement, draft)
    _record(parts, files, container, image)
    return container, [
        *warnings,
        *_image_warnings(parts, image),
        *placement.warnings,
        *networking.warnings(container),
        *specification.without_warnings(without),
    ]


def _completed(
    parts: Parts,
    config: ContainerConfig,
    host_config: HostConfig,
    image: Image,
    endpoints: Mapping[str, EndpointConfig],
) -> tuple[Container, list[str]]:
    """The new container, still without a name, and warnings; InvalidParameterError."""
    parts.defaults.apply(host_config)
    warnings, nodes, limited = _checked(config, host_config)
    try:
        namespaces.settle(parts, config, host_config)
        wanted = network_wishes.settle(parts, config, host_config, endpoints)
    except NotFoundError as error:
        # A client would take "not found" to mean the image, and pull it.
        raise InvalidParameterError(str(error)) from None
    container_id = secrets.token_hex(32)
    if not config.hostname:
        is_host = "host" in (host_config.network_mode, host_config.uts_mode)
        config.hostname = os.uname().nodename if is_host else container_id[:SHORT_ID_LENGTH]
    command = specification.merge_command(config, image)
    specification.merge_config(config, image)
    health.check(config.healthcheck)
    config.healthcheck = health.merge(config.healthcheck, image.config.healthcheck)
    container = Container(
        id=container_id,
        name="",
        created=timestamp(time.time_ns()),
        image_id=image.id,
        config=config,
        host_config=host_config,
        state=State(status=states.after(states.NONE, "create")),
        command=command,
        networks=wanted,
        mount_points=_mount_points(parts, config, host_config),
        devices=nodes,
        disks=limited,
        id_ranges=namespaces.gather_id_ranges(parts, host_config),
    )
    return container, warnings


def _image_warnings(parts: Parts, image: Image) -> Iterator[str]:
    """Warnings about files of the image that this engine could not make."""
    if power.IS_LIMITED and (count := parts.images.devices_left_out(image)):
        what = "1 device file" if count == 1 else f"{count} device files"
        yield f"This engine runs without root and left out {what} of the image"


def _checked(
    config: ContainerConfig, host_config: HostConfig
) -> tuple[list[str], list[DeviceNode], list[DiskNode]]:
    """Refuse bad options and fill in defaults; returns warnings, devices and limited disks."""
    nodes = devices.gather(host_config)
    limited = disks.gather(host_config)
    specification.check_limits(host_config, nodes, limited)
    warnings = [*security.check(host_config), *ulimits.check(host_config)]
    warnings += disks.check(host_config, limited)
    specification.fill_in(host_config)
    specification.check(config, host_config)
    log_options.limits(host_config.log_config)
    host_config.log_config.type = host_config.log_config.type or log_options.JSON_FILE
    restarts.check(host_config.restart_policy, auto_remove=host_config.auto_remove)
    return warnings, nodes, limited


def _mount_points(
    parts: Parts, config: ContainerConfig, host_config: HostConfig
) -> list[MountPoint]:
    points = mounts.mount_points(config, host_config, functools.partial(_mounts_of, parts))
    mounting.find_images(parts, points)
    if any(point.type == "volume" and not parts.volumes.has(point.name) for point in points):
        mounts.check_volumes_driver(host_config.volume_driver)
    return points


def _mounts_of(parts: Parts, ref: str) -> Sequence[MountPoint]:
    try:
        return parts.lookup.find(ref).container.mount_points
    except NotFoundError as error:
        raise InvalidParameterError(str(error)) from None  # "not found" would mean the image


def _name(parts: Parts, asked: str) -> str:
    if not asked:
        return names.choose(parts.lookup.names())
    names.check(name := asked.removeprefix("/"))
    return name


def _record(parts: Parts, files: ContainerFiles, container: Container, image: Image) -> None:
    """Write the record and make the container visible; ConflictError if its name is in use."""
    parts.lookup.reserve_name(container.name, container.id)
    try:
        parts.records.begin(container.id, mounting.name_unnamed(container))
        files.claim_volumes(container, image)
        parts.records.finish(container, etc_files.texts(parts, container, Sandbox(container.id)))
    except BaseException:
        mounting.release(parts.volumes, container, remove_anonymous=True)
        with contextlib.suppress(FileNotFoundError):
            parts.records.delete(parts.records.move_away(container.id))
        parts.lookup.release(container.name, container.id)
        raise
    parts.lookup.add(entry := Entry(container))
    parts.publish("create", entry)
