"""A container's JSON: the line of `docker ps` and the complete `docker inspect`."""

import time
from collections.abc import Collection
from typing import cast

import msgspec

from labkit import snapshots
from labkit.containers import Container, Engine, State
from labkit.containers.given import security
from labkit.daemon.create_body import CONFIG_NOT_YET, HOST_CONFIG_NOT_YET
from labkit.daemon.shapes import networks
from labkit.daemon.shapes.mounts import mounts
from labkit.dialect.durations import human
from labkit.dialect.moments import unix_s
from labkit.errors import InvalidParameterError, NotFoundError

JsonObject = dict[str, object]

UNSAID_CONFIG = frozenset(
    {
        *("ExposedPorts", "Healthcheck", "MacAddress", "NetworkDisabled", "Shell", "StopSignal"),
    }
)
UNSAID_HOST_CONFIG = frozenset(
    {
        "Annotations",
        "KernelMemory",
        "KernelMemoryTCP",
        "Mounts",
        "StorageOpt",
        "Sysctls",
        "Tmpfs",
    }
)
"""Docker leaves these fields out of an inspection if they are empty."""
UNSAID_IF_UNSET = frozenset({"Init", "StopTimeout"})
"""Docker leaves these out only if they were not given: `--init=false` is shown."""
HEALTH_WORDS = {
    "starting": " (health: starting)",
    "healthy": " (healthy)",
    "unhealthy": " (unhealthy)",
}


def status_text(state: State, now_s: float) -> str:
    """The state in words: "Up 3 seconds (Paused)", "Exited (0) 2 minutes ago"."""
    up = f"Up {human(now_s - unix_s(state.started_at))}"
    ago = f"({state.exit_code}) {human(now_s - unix_s(state.finished_at))} ago"
    words = {
        "running": up + (HEALTH_WORDS[state.health.status] if state.health else ""),
        "paused": f"{up} (Paused)",
        "restarting": f"Restarting {ago}",
        "exited": f"Exited {ago}",
        "removing": "Removal In Progress",
    }
    return words.get(state.status) or state.status.capitalize()


def summary(engine: Engine, container: Container) -> JsonObject:
    """One element of `GET /containers/json`."""
    mode = container.host_config.network_mode
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": _image(engine, container),
        "ImageID": container.image_id,
        "Command": " ".join(_quoted(word) for word in container.command),
        "Created": int(unix_s(container.created)),
        "Ports": networks.port_list(engine, container),
        "Labels": container.config.labels or {},
        "State": container.state.status,
        "Status": status_text(container.state, time.time()),
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks.endpoints(engine, container)},
        "Mounts": mounts(container),
    }


def _image(engine: Engine, container: Container) -> str:
    """The image's name from the request, or its id if the name now means another image."""
    name = container.config.image
    try:
        return name if engine.images.resolve(name).id == container.image_id else container.image_id
    except (NotFoundError, InvalidParameterError):
        return container.image_id


def sizes(engine: Engine, container: Container) -> JsonObject:
    """The bytes that a container has written, and their sum with its image."""
    written = written_bytes(engine, container)
    try:
        below = engine.images.resolve(container.image_id).size_bytes
    except NotFoundError:
        below = 0
    return {"SizeRw": written, "SizeRootFs": written + below}


def written_bytes(engine: Engine, container: Container) -> int:
    """The sum of the sizes of the files that a container has written."""

    def layers() -> list[str]:
        try:
            return engine.images.resolve(container.image_id).layer_directories()
        except NotFoundError:
            return []

    folder = engine.paths.container_root(container.id)
    return snapshots.of(engine.paths.root).written_bytes(folder, layers)


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


def inspection(engine: Engine, container: Container) -> JsonObject:
    """The answer of `GET /containers/{id}/json`."""
    folder = engine.paths.container_root(container.id)
    not_yet_in_config = {name: field.shown for name, field in CONFIG_NOT_YET.items()}
    return {
        "Id": container.id,
        "Created": container.created,
        "Path": container.command[0],
        "Args": container.command[1:],
        "State": _state(container.state),
        "Image": container.image_id,
        "ResolvConfPath": f"{folder}/resolv.conf",
        "HostnamePath": f"{folder}/hostname",
        "HostsPath": f"{folder}/hosts",
        "LogPath": engine.log_path(container.id),
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": snapshots.of(engine.paths.root).name,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": security.apparmor_profile(container.host_config),
        "ExecIDs": list(engine.exec_ids(container.id)) or None,
        "HostConfig": _host_config(container),
        "GraphDriver": _graph_driver(engine, container),
        "Mounts": mounts(container),
        "Config": _said(not_yet_in_config | _config(container), UNSAID_CONFIG),
        "NetworkSettings": networks.settings(engine, container),
        "Labkit": {"Without": container.without},
    }


def _config(container: Container) -> JsonObject:
    """The configuration; the hardware address may have been given with the first network."""
    first = container.networks.get(container.host_config.network_mode)
    config = cast("JsonObject", msgspec.to_builtins(container.config))
    return config | {"MacAddress": container.config.mac_address or (first and first.mac_address)}


def _host_config(container: Container) -> JsonObject:
    not_yet = {name: field.shown for name, field in HOST_CONFIG_NOT_YET.items()}
    host_config = cast("JsonObject", msgspec.to_builtins(container.host_config))
    # The API has a size even without a terminal.
    size = container.host_config.console_size or (0, 0)
    return _said(not_yet | host_config | {"ConsoleSize": list(size)}, UNSAID_HOST_CONFIG)


def _said(fields: JsonObject, unsaid: Collection[str]) -> JsonObject:
    """The fields without the empty ones of `unsaid`, and without those that were not given."""
    return {
        name: value
        for name, value in fields.items()
        if (value or name not in unsaid) and (value is not None or name not in UNSAID_IF_UNSET)
    }


def _state(state: State) -> JsonObject:
    flags: JsonObject = {
        # Docker's clients treat a container that waits for its restart as running.
        "Running": state.status in ("running", "paused", "restarting"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "Dead": state.status == "dead",
    }
    shown = cast("JsonObject", msgspec.to_builtins(state))
    if state.health is None:
        del shown["Health"]
    return shown | flags


def _graph_driver(engine: Engine, container: Container) -> JsonObject:
    """The storage driver, and the folders with the container's files."""
    driver = snapshots.of(engine.paths.root)
    copy = driver.copy_of(engine.paths.container_root(container.id))
    data: JsonObject | None = {"Root": copy} if copy else _overlay(engine, container)
    return {"Name": driver.name, "Data": data}


def _overlay(engine: Engine, container: Container) -> JsonObject | None:
    """The folders that overlayfs unites; None if the image is gone."""
    folder = engine.paths.container_root(container.id)
    try:
        layers = engine.images.resolve(container.image_id).layer_directories()
    except NotFoundError:
        return None
    return {
        "LowerDir": ":".join(layers),
        "UpperDir": f"{folder}/upper",
        "WorkDir": f"{folder}/work",
        "MergedDir": f"{folder}/merged",
    }
