"""`--pid`, `--ipc`, `--uts`, `--cgroupns`: whose namespaces a container has, if not its own."""

from collections.abc import Mapping
from typing import NamedTuple

from labkit.containers.model import Container, ContainerConfig, HostConfig
from labkit.containers.parts import Parts
from labkit.errors import InvalidParameterError, NotFoundError, StartError
from labkit.runtime.spec import Sharing

HOST, CONTAINER = "host", "container:"
PRIVATE, SHAREABLE, NONE = "private", "shareable", "none"


class _Kind(NamedTuple):
    called: str
    words: tuple[str, ...]
    """What may be asked for besides nothing; `container:` for another container's."""


_KINDS: Mapping[str, _Kind] = {
    "pid_mode": _Kind("PID", (HOST, CONTAINER)),
    "ipc_mode": _Kind("IPC", (HOST, CONTAINER, PRIVATE, SHAREABLE, NONE)),
    "uts_mode": _Kind("UTS", (HOST,)),
    "cgroupns_mode": _Kind("cgroup namespace", (HOST, PRIVATE)),
}


def settle(parts: Parts, config: ContainerConfig, host: HostConfig) -> None:
    """Check what a new container wants, and name other containers by their ids.

    InvalidParameterError, NotFoundError.
    """
    for field, kind in _KINDS.items():
        mode: str = getattr(host, field)
        word = CONTAINER if mode.startswith(CONTAINER) else mode
        if mode and word not in kind.words:
            raise InvalidParameterError(f"invalid {kind.called} mode: {mode}")
        if word == CONTAINER:
            other = parts.registry.find(mode.removeprefix(CONTAINER)).container
            setattr(host, field, f"{CONTAINER}{other.id}")
            if field == "ipc_mode" and other.host_config.ipc_mode not in (SHAREABLE, HOST):
                raise InvalidParameterError(
                    f"can't join IPC of container {other.id}: non-shareable IPC (hint: use "
                    "IpcMode:shareable for the donor container)"
                )
    if host.uts_mode == HOST and config.hostname:
        raise InvalidParameterError("conflicting options: hostname and the UTS mode")
    host.ipc_mode = host.ipc_mode or PRIVATE
    host.cgroupns_mode = host.cgroupns_mode or PRIVATE


def check_shared(parts: Parts, container: Container) -> None:
    """StartError if a container would share a namespace of one that does not run."""
    for field, kind in _KINDS.items():
        mode: str = getattr(container.host_config, field)
        if not mode.startswith(CONTAINER):
            continue
        other_id = mode.removeprefix(CONTAINER)
        where = f"can't join {kind.called} of container {other_id}"
        try:
            runs = parts.registry.find(other_id).is_running
        except NotFoundError as error:
            raise StartError(f"{where}: it has been removed") from error
        if not runs:
            raise StartError(f"{where}: container {other_id} is not running")


def sharing(parts: Parts, mode: str) -> Sharing:
    """What the plan needs to know; the other container need not run before the start."""
    if not mode.startswith(CONTAINER):
        return Sharing(host=mode == HOST)
    try:
        other = parts.registry.find(mode.removeprefix(CONTAINER))
    except NotFoundError:
        return Sharing(joins=(0, 0))
    with other.lock:
        return Sharing(joins=(other.container.state.pid, other.start_time))
