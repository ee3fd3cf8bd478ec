"""The body of `POST /containers/create`, from the arguments of docker-py and the command line."""

from labkit.dialect.limits import LIMITS
from labkit.dialect.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Binds = dict[str, dict[str, str]]
    Ports = Mapping[str, Any]


def create_body(
    image: str,
    command: "str | Sequence[str] | None" = None,
    *,
    attach: "Sequence[str]" = ("stdout", "stderr"),
    exposed_ports: "Sequence[str] | None" = None,
    networking_config: "Mapping[str, Any] | None" = None,
    ports: "Ports | None" = None,
    volumes: "Binds | Sequence[str] | None" = None,
    without: "Sequence[str]" = (),
    **asked: "Any",
) -> dict[str, object]:
    """Return the API's fields for docker-py's arguments of the same names, listed in `FIELDS`.

    Memory is in bytes or as `"200m"`, with `memswap_limit` memory *plus* swap; `nano_cpus` is in
    10⁻⁹ CPUs.  A command or entrypoint that is one string is split as by a shell.  Volumes are
    `{"/here": {"bind": "/there", "mode": "ro"}}` or `["/here:/there:ro", "name:/a", "/nameless"]`;
    devices are `"/dev/x[:/place[:rwm]]"`, or as in the API; limits on disks are
    `{"Path": "/dev/x", "Rate": 1048576}` or with a `"Weight"`; a health check is
    `{"test": ["CMD", …], "interval": nanoseconds, …}`; mounts, the restart policy
    and the log's configuration are as in the API.  `console_size` is (height, width).  `without` is
    labkit's own: names of steps to leave out of the plan.  InvalidParameterError for a bad size,
    TypeError for an unknown argument.

    Ports are `{"80/tcp": 8080}`, with None for any free port of the host, with
    `("127.0.0.1", 8080)` for one address only, or with a list of these; extra hosts
    `{"name": "address"}` and links `{"container": "alias"}`, or the same as `["name:address"]`;
    `networking_config` is `{"network": {"Aliases": […], "IPAMConfig": {…}}}`.
    """
    if unknown := asked.keys() - FIELDS.keys():
        raise TypeError(f"create() has no argument {min(unknown)!r}")
    host: dict[str, object] = {}
    body: dict[str, object] = {
        "Image": image,
        "Cmd": words(command),
        **{f"Attach{name.capitalize()}": name in attach for name in ("stdin", "stdout", "stderr")},
        "HostConfig": host,
    }
    for keyword, field in FIELDS.items():
        given = asked.get(keyword)
        value = field.read(field.unset if given is None else given)
        if field.is_sent(value):
            (host if field.of_host else body)[field.name] = value
    bindings = _bindings(ports)
    places, binds = _volumes(volumes)
    exposed: dict[str, object] = {port: {} for port in (*(exposed_ports or ()), *bindings)}
    endpoints = dict(networking_config or {})
    host |= {name: it for name, it in (("Binds", binds), ("PortBindings", bindings)) if it}
    body |= {name: it for name, it in (("Volumes", places), ("ExposedPorts", exposed)) if it}
    if endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    if without:
        body["Labkit"] = {"Without": list(without)}
    return body


def _device(given: "str | Mapping[str, str]") -> "Mapping[str, str]":
    """Return a device of the host, its place in the container, and the allowed access."""
    if not isinstance(given, str):
        return given
    source, place, access = (*given.split(":"), "", "")[:3]
    return {
        "PathOnHost": source,
        "PathInContainer": place or source,
        "CgroupPermissions": access or "rwm",
    }


def _devices(given: "Sequence[str | Mapping[str, str]]") -> "list[Mapping[str, str]]":
    return [_device(each) for each in given]


def _bindings(given: "Ports | None") -> "dict[str, list[dict[str, str]]]":
    """Return published ports in the API's form."""
    found = {}
    for port, places in (given or {}).items():
        name = str(port) if "/" in str(port) else f"{port}/tcp"
        every = places if isinstance(places, list) else [places]
        found[name] = [_binding(place) for place in every]
    return found


def _binding(place: "int | str | tuple[str, int | str] | None") -> dict[str, str]:
    address, port = place if isinstance(place, tuple) else ("", place)
    return {"HostIp": address, "HostPort": "" if port is None else str(port)}


def _colon_pairs(given: "Mapping[str, str] | Sequence[str] | None") -> list[str]:
    if isinstance(given, dict):
        return [f"{name}:{value}" for name, value in given.items()]
    return list(given or ())


def _volumes(
    given: "Binds | Sequence[str] | None",
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the places of anonymous volumes, and the binds of paths and named volumes."""
    if not given:
        return {}, []
    if isinstance(given, dict):
        binds = [f"{here}:{to['bind']}:{to.get('mode', 'rw')}" for here, to in given.items()]
        return {}, binds
    places: dict[str, dict[str, str]] = {text: {} for text in given if ":" not in text}
    return places, [text for text in given if ":" in text]


def _api_names(given: "Mapping[str, Any] | None") -> dict[str, object]:
    """Return a health check with the API's names: `start_period` is `StartPeriod`."""
    return {
        "".join(word.capitalize() for word in name.split("_")) if name.islower() else name: value
        for name, value in (given or {}).items()
    }


def _list(given: "Sequence[Any]") -> "list[Any]":
    return list(given)


def words(given: "str | Sequence[str] | None") -> list[str] | None:
    """Return a command's words; one string is split as by a shell."""
    if given is None:
        return None
    if isinstance(given, str):
        import shlex  # noqa: PLC0415 only for this convenience, which the command line lacks

        return shlex.split(given)
    return list(given)


def pairs(given: "Mapping[str, str | None] | Sequence[str] | None") -> list[str] | None:
    """Return variables of the environment in the API's form: `NAME=value`."""
    if given is None:
        return None
    if not isinstance(given, dict):
        return list(given)
    # As docker-py: a name without a value removes the variable from the image's environment.
    return [name if value is None else f"{name}={value}" for name, value in given.items()]


def _labels(given: "dict[str, str] | Sequence[str] | None") -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        return {label.partition("=")[0]: label.partition("=")[2] for label in given}
    return dict(given)


def _bytes(given: int | str) -> int:
    return parse_size(given) if isinstance(given, str) else given


def _as_it_is(given: object) -> object:
    return given


def _always(_: object) -> bool:
    return True


def _if_any(value: object) -> bool:
    return bool(value)


def _if_given(value: object) -> bool:
    """Send an empty list too: it differs from None."""
    return value is not None


class Field:
    """The place of an argument in the body, its reader, and the condition to send it."""

    __slots__ = ("is_sent", "name", "of_host", "read", "unset")

    def __init__(
        self,
        name: str,
        is_sent: "Callable[[Any], bool]" = _if_any,
        read: "Callable[[Any], object]" = _as_it_is,
        unset: object = None,
    ) -> None:
        place, _, self.name = name.rpartition(".")
        self.of_host = place == "HostConfig"
        self.is_sent = is_sent
        self.read = read
        self.unset = unset
        """The value of an argument that is not given."""


ALWAYS_SENT = ("CpuShares", "CpusetCpus", "Memory", "MemorySwap", "NanoCpus", "PidsLimit")
"""Limits that Docker's command always sends, even without a value."""

FIELDS = {
    "domainname": Field("Domainname"),
    "entrypoint": Field("Entrypoint", _always, words),
    "environment": Field("Env", _always, pairs),
    "healthcheck": Field("Healthcheck", read=_api_names),
    "hostname": Field("Hostname", _always, unset=""),
    "labels": Field("Labels", _always, _labels),
    "mac_address": Field("MacAddress"),
    "stdin_once": Field("StdinOnce", _always, unset=False),
    "stdin_open": Field("OpenStdin", _always, unset=False),
    "stop_signal": Field("StopSignal", _always, unset=""),
    "stop_timeout": Field("StopTimeout", _if_given),
    "tty": Field("Tty", _always, unset=False),
    "user": Field("User", _always, unset=""),
    "working_dir": Field("WorkingDir", _always, unset=""),
    "auto_remove": Field("HostConfig.AutoRemove", _always, unset=False),
    "blkio_weight_device": Field("HostConfig.BlkioWeightDevice", _always, _list, ()),
    "cap_add": Field("HostConfig.CapAdd"),
    "cap_drop": Field("HostConfig.CapDrop"),
    "cgroup_parent": Field("HostConfig.CgroupParent"),
    "cgroupns": Field("HostConfig.CgroupnsMode"),
    "console_size": Field("HostConfig.ConsoleSize"),
    "device_cgroup_rules": Field("HostConfig.DeviceCgroupRules"),
    "device_read_bps": Field("HostConfig.BlkioDeviceReadBps", _always, _list, ()),
    "device_read_iops": Field("HostConfig.BlkioDeviceReadIOps", _always, _list, ()),
    "device_write_bps": Field("HostConfig.BlkioDeviceWriteBps", _always, _list, ()),
    "device_write_iops": Field("HostConfig.BlkioDeviceWriteIOps", _always, _list, ()),
    "devices": Field("HostConfig.Devices", _always, _devices, ()),
    "dns": Field("HostConfig.Dns", _always, _list, ()),
    "dns_opt": Field("HostConfig.DnsOptions", _always, _list, ()),
    "dns_search": Field("HostConfig.DnsSearch", _always, _list, ()),
    "extra_hosts": Field("HostConfig.ExtraHosts", read=_colon_pairs),
    "group_add": Field("HostConfig.GroupAdd"),
    "init": Field("HostConfig.Init", _always),
    "ipc_mode": Field("HostConfig.IpcMode"),
    "links": Field("HostConfig.Links", read=_colon_pairs),
    "log_config": Field("HostConfig.LogConfig"),
    "masked_paths": Field("HostConfig.MaskedPaths", _if_given),
    "mounts": Field("HostConfig.Mounts"),
    "network_mode": Field("HostConfig.NetworkMode", _always, unset="default"),
    "oom_score_adj": Field("HostConfig.OomScoreAdj"),
    "pid_mode": Field("HostConfig.PidMode"),
    "privileged": Field("HostConfig.Privileged"),
    "publish_all_ports": Field("HostConfig.PublishAllPorts"),
    "read_only": Field("HostConfig.ReadonlyRootfs", _always, unset=False),
    "readonly_paths": Field("HostConfig.ReadonlyPaths", _if_given),
    "restart_policy": Field("HostConfig.RestartPolicy"),
    "runtime": Field("HostConfig.Runtime"),
    "security_opt": Field("HostConfig.SecurityOpt", _if_given),
    "shm_size": Field("HostConfig.ShmSize", read=_bytes, unset=0),
    "sysctls": Field("HostConfig.Sysctls"),
    "tmpfs": Field("HostConfig.Tmpfs"),
    "ulimits": Field("HostConfig.Ulimits", _always, _list, ()),
    "userns_mode": Field("HostConfig.UsernsMode"),
    "uts_mode": Field("HostConfig.UTSMode"),
    "volumes_from": Field("HostConfig.VolumesFrom"),
    **{
        row.keyword: Field(
            f"HostConfig.{row.field}",
            _always if row.field in ALWAYS_SENT else _if_given if row.unset is None else _if_any,
            _bytes if row.kind == "bytes" else _as_it_is,
            row.unset,
        )
        for row in LIMITS
    },
}
"""By argument.  Docker's command always sends some fields, and `docker inspect` shows them."""
