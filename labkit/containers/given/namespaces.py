"""`--pid --ipc --uts --cgroupns --userns`: the namespaces that a container shares, and its own."""

from collections.abc import Mapping
from typing import NamedTuple

from labkit.containers.parts import Parts
from labkit.containers.records import id_ranges
from labkit.containers.records.model import Container, ContainerConfig, HostConfig
from labkit.errors import InvalidParameterError, NotFoundError, StartError
from labkit.kernel import power
from labkit.runtime.spec import Sharing, UserNamespace

HOST, CONTAINER = "host", "container:"
PRIVATE, SHAREABLE, NONE = "private", "shareable", "none"


class _Kind(NamedTuple):
    called: str
    words: tuple[str, ...]
    """The allowed values besides the empty one; `container:` for another container's."""


_KINDS: Mapping[str, _Kind] = {
    "pid_mode": _Kind("PID", (HOST, CONTAINER)),
    "ipc_mode": _Kind("IPC", (HOST, CONTAINER, PRIVATE, SHAREABLE, NONE)),
    "uts_mode": _Kind("UTS", (HOST,)),
    "cgroupns_mode": _Kind("cgroup namespace", (HOST, PRIVATE)),
    "userns_mode": _Kind("USER", (HOST, PRIVATE)),
}


def settle(parts: Parts, config: ContainerConfig, host: HostConfig) -> None:
    """Check the namespaces of a new container, and replace other containers' names by ids.

    InvalidParameterError, NotFoundError.
    """
    for field, kind in _KINDS.items():
        mode: str = getattr(host, field)
        word = CONTAINER if mode.startswith(CONTAINER) else mode
        if mode and word not in kind.words:
            raise InvalidParameterError(f"invalid {kind.called} mode: {mode}")
        if word == CONTAINER:
            other = parts.lookup.find(mode.removeprefix(CONTAINER)).container
            setattr(host, field, f"{CONTAINER}{other.id}")
            if field == "ipc_mode" and other.host_config.ipc_mode not in (SHAREABLE, HOST):
                raise InvalidParameterError(
                    f"failed to join IPC namespace: container {other.id}: non-shareable IPC "
                    "(hint: use IpcMode:shareable for the donor container)"
                )
    if host.uts_mode == HOST and config.hostname:
        raise InvalidParameterError("conflicting options: hostname and the UTS mode")
    if _remap(parts, host):
        _check_with_user_namespace(parts, host)
    host.ipc_mode = host.ipc_mode or PRIVATE
    host.cgroupns_mode = host.cgroupns_mode or PRIVATE


def _remap(parts: Parts, host: HostConfig) -> str:
    """A value as for `--userns-remap`; empty for the host's users."""
    remaps = {
        "": parts.userns_remap,
        HOST: "",
        PRIVATE: parts.userns_remap or id_ranges.DEFAULT,
    }
    return remaps[host.userns_mode]


def _check_with_user_namespace(parts: Parts, host: HostConfig) -> None:
    if power.IS_LIMITED:
        raise InvalidParameterError(
            f"--userns={PRIVATE} needs an engine with root: this engine's containers already have "
            "other users than the machine"
        )
    id_ranges.find(_remap(parts, host))
    if host.privileged:
        raise InvalidParameterError(
            "privileged mode is incompatible with user namespaces.  You must run the container in "
            "the host namespace when running privileged mode"
        )
    if host.network_mode == HOST:
        raise InvalidParameterError(
            "cannot share the host's network namespace when user namespaces are enabled"
        )
    if host.pid_mode == HOST:
        raise InvalidParameterError(
            "cannot share the host PID namespace when user namespaces are enabled"
        )


def gather_id_ranges(parts: Parts, host: HostConfig) -> id_ranges.IdRanges | None:
    """The ranges of the host's ids for a new container's users; InvalidParameterError."""
    remap = _remap(parts, host)
    return id_ranges.find(remap) if remap else None


def users(
    parts: Parts, ranges: id_ranges.IdRanges | None, *, mounts: bool = False
) -> UserNamespace | None:
    """The plan's user namespace; `mounts`: whether the container's root may mount."""
    if ranges is None:
        return None
    return UserNamespace(ranges.uids, ranges.gids, parts.paths.root, mounts)


def check_shared(parts: Parts, container: Container) -> None:
    """StartError if the container whose namespace would be shared does not run."""
    for field, kind in _KINDS.items():
        mode: str = getattr(container.host_config, field)
        if not mode.startswith(CONTAINER):
            continue
        other_id = mode.removeprefix(CONTAINER)
        where = f"failed to join {kind.called} namespace: container {other_id}"
        try:
            runs = parts.lookup.find(other_id).is_running
        except NotFoundError as error:
            raise StartError(f"{where} has been removed") from error
        if not runs:
            raise StartError(f"{where} is not running")


def sharing(parts: Parts, mode: str) -> Sharing:
    """The plan's entry for a shared namespace; the other container may still start later."""
    if not mode.startswith(CONTAINER):
        return Sharing(host=mode == HOST)
    try:
        other = parts.lookup.find(mode.removeprefix(CONTAINER))
    except NotFoundError:
        return Sharing(joins=(0, 0))
    with other.lock:
        return Sharing(joins=(other.container.state.pid, other.start_time))
