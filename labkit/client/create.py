"""The body of `POST /containers/create`, from the words docker-py and the command line use."""

from labkit.dialect.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Binds = dict[str, dict[str, str]]
    Ports = Mapping[str, Any]


def create_body(
    image: str,
    command: "str | Sequence[str] | None" = None,
    *,
    attach: "Sequence[str]" = ("stdout", "stderr"),
    auto_remove: bool = False,
    blkio_weight: int = 0,
    blkio_weight_device: "Sequence[Mapping[str, Any]] | None" = None,
    cap_add: "Sequence[str] | None" = None,
    cap_drop: "Sequence[str] | None" = None,
    cgroup_parent: str = "",
    cgroupns: str = "",
    console_size: "tuple[int, int] | None" = None,
    cpu_period: int = 0,
    cpu_quota: int = 0,
    cpu_shares: int = 0,
    cpuset_cpus: str = "",
    cpuset_mems: str = "",
    device_cgroup_rules: "Sequence[str] | None" = None,
    device_read_bps: "Sequence[Mapping[str, Any]] | None" = None,
    device_read_iops: "Sequence[Mapping[str, Any]] | None" = None,
    device_write_bps: "Sequence[Mapping[str, Any]] | None" = None,
    device_write_iops: "Sequence[Mapping[str, Any]] | None" = None,
    devices: "Sequence[str | Mapping[str, str]] | None" = None,
    dns: "Sequence[str] | None" = None,
    dns_opt: "Sequence[str] | None" = None,
    dns_search: "Sequence[str] | None" = None,
    domainname: str = "",
    entrypoint: "str | Sequence[str] | None" = None,
    environment: "dict[str, str | None] | Sequence[str] | None" = None,
    exposed_ports: "Sequence[str] | None" = None,
    extra_hosts: "Mapping[str, str] | Sequence[str] | None" = None,
    group_add: "Sequence[str] | None" = None,
    healthcheck: "Mapping[str, Any] | None" = None,
    hostname: str = "",
    init: bool | None = None,
    ipc_mode: str = "",
    labels: "dict[str, str] | Sequence[str] | None" = None,
    links: "Mapping[str, str] | Sequence[str] | None" = None,
    log_config: "Mapping[str, Any] | None" = None,
    mac_address: str = "",
    mem_limit: int | str = 0,
    mem_reservation: int | str = 0,
    mem_swappiness: int | None = None,
    masked_paths: "Sequence[str] | None" = None,
    memswap_limit: int | str = 0,
    mounts: "Sequence[Mapping[str, Any]] | None" = None,
    nano_cpus: int = 0,
    network_mode: str = "default",
    oom_kill_disable: bool = False,
    oom_score_adj: int = 0,
    networking_config: "Mapping[str, Any] | None" = None,
    pid_mode: str = "",
    pids_limit: int | None = None,
    privileged: bool = False,
    ports: "Ports | None" = None,
    publish_all_ports: bool = False,
    read_only: bool = False,
    readonly_paths: "Sequence[str] | None" = None,
    restart_policy: "Mapping[str, Any] | None" = None,
    runtime: str = "",
    security_opt: "Sequence[str] | None" = None,
    shm_size: int | str = 0,
    stdin_once: bool = False,
    stdin_open: bool = False,
    stop_signal: str = "",
    stop_timeout: int | None = None,
    sysctls: "Mapping[str, str] | None" = None,
    tmpfs: "Mapping[str, str] | None" = None,
    tty: bool = False,
    ulimits: "Sequence[Mapping[str, Any]] | None" = None,
    user: str = "",
    userns_mode: str = "",
    uts_mode: str = "",
    volumes: "Binds | Sequence[str] | None" = None,
    volumes_from: "Sequence[str] | None" = None,
    without: "Sequence[str]" = (),
    working_dir: str = "",
) -> dict[str, object]:
    """What docker-py's arguments of the same names mean in the API.

    Memory is in bytes or as `"200m"`, with `memswap_limit` memory *plus* swap; `nano_cpus` is in
    10⁻⁹ CPUs.  A command or entrypoint that is one string is split as a shell would.  Volumes are
    `{"/here": {"bind": "/there", "mode": "ro"}}` or `["/here:/there:ro", "name:/a", "/nameless"]`;
    devices are `"/dev/x[:/place[:rwm]]"`, or as in the API; limits on disks are
    `{"Path": "/dev/x", "Rate": 1048576}` or with a `"Weight"`; a health check is
    `{"test": ["CMD", …], "interval": nanoseconds, …}`; mounts, the restart policy
    and the log's configuration are as in the API.  `console_size` is (height, width).  `without` is
    labkit's own: names of steps to leave out of the plan.  InvalidParameterError for a bad size.

    Ports are `{"80/tcp": 8080}`, with None for any port of the host that is free, with
    `("127.0.0.1", 8080)` for one address only, or with a list of these; extra hosts
    `{"name": "address"}` and links `{"container": "alias"}`, or the same as `["name:address"]`;
    `networking_config` is `{"network": {"Aliases": […], "IPAMConfig": {…}}}`.
    """
    bindings = _bindings(ports)
    exposed = dict.fromkeys([*(exposed_ports or ()), *bindings])
    places, binds = _volumes(volumes)
    body: dict[str, object] = {
        "Image": image,
        "Cmd": words(command),
        "Entrypoint": words(entrypoint),
        "Env": pairs(environment),
        "Hostname": hostname,
        "Labels": _labels(labels),
        "StopSignal": stop_signal,
        "User": user,
        "WorkingDir": working_dir,
        "AttachStdin": "stdin" in attach,
        "AttachStdout": "stdout" in attach,
        "AttachStderr": "stderr" in attach,
        "OpenStdin": stdin_open,
        "StdinOnce": stdin_once,
        "Tty": tty,
        "HostConfig": {
            "AutoRemove": auto_remove,
            "CpuShares": cpu_shares,
            "CpusetCpus": cpuset_cpus,
            "Init": init,
            "Memory": _bytes(mem_limit),
            "MemorySwap": _bytes(memswap_limit),
            "NanoCpus": nano_cpus,
            "NetworkMode": network_mode,
            "PidsLimit": pids_limit,
            "ReadonlyRootfs": read_only,
        }
        | _given(
            Binds=binds,
            BlkioWeight=blkio_weight,
            CapAdd=cap_add,
            CapDrop=cap_drop,
            CgroupParent=cgroup_parent,
            CgroupnsMode=cgroupns,
            ConsoleSize=console_size,
            CpuPeriod=cpu_period,
            CpuQuota=cpu_quota,
            CpusetMems=cpuset_mems,
            DeviceCgroupRules=device_cgroup_rules,
            GroupAdd=group_add,
            ExtraHosts=_colon_pairs(extra_hosts),
            IpcMode=ipc_mode,
            Links=_colon_pairs(links),
            LogConfig=log_config,
            MemoryReservation=_bytes(mem_reservation),
            Mounts=mounts,
            OomKillDisable=oom_kill_disable,
            OomScoreAdj=oom_score_adj,
            PidMode=pid_mode,
            PortBindings=bindings,
            Privileged=privileged,
            PublishAllPorts=publish_all_ports,
            RestartPolicy=restart_policy,
            Runtime=runtime,
            ShmSize=_bytes(shm_size),
            Sysctls=sysctls,
            Tmpfs=tmpfs,
            UTSMode=uts_mode,
            UsernsMode=userns_mode,
            VolumesFrom=volumes_from,
        )
        | _lists(
            BlkioDeviceReadBps=device_read_bps,
            BlkioDeviceReadIOps=device_read_iops,
            BlkioDeviceWriteBps=device_write_bps,
            BlkioDeviceWriteIOps=device_write_iops,
            BlkioWeightDevice=blkio_weight_device,
            Devices=[_device(given) for given in devices or ()],
            Dns=dns,
            DnsOptions=dns_opt,
            DnsSearch=dns_search,
            Ulimits=ulimits,
        )
        # An empty list is not nothing: it covers none.
        | ({} if security_opt is None else {"SecurityOpt": security_opt})
        | ({} if masked_paths is None else {"MaskedPaths": masked_paths})
        | ({} if readonly_paths is None else {"ReadonlyPaths": readonly_paths})
        | ({} if mem_swappiness is None else {"MemorySwappiness": mem_swappiness}),
    }
    body |= _given(
        Domainname=domainname,
        ExposedPorts={port: {} for port in exposed},
        Healthcheck=_api_names(healthcheck),
        MacAddress=mac_address,
        Volumes=places,
    )
    if networking_config:
        body["NetworkingConfig"] = {"EndpointsConfig": dict(networking_config)}
    if stop_timeout is not None:
        body["StopTimeout"] = stop_timeout
    if without:
        body["Labkit"] = {"Without": list(without)}
    return body


def _given(**fields: object) -> dict[str, object]:
    """Those that say something."""
    return {name: value for name, value in fields.items() if value}


def _lists(**fields: "Sequence[Any] | None") -> dict[str, object]:
    """These as lists, empty where nothing is given: Docker's command sends them always."""
    return {name: list(value or ()) for name, value in fields.items()}


def _device(given: "str | Mapping[str, str]") -> "Mapping[str, str]":
    """A device of the host, its place in the container, and what may be done with it."""
    if not isinstance(given, str):
        return given
    source, place, access = (*given.split(":"), "", "")[:3]
    return {
        "PathOnHost": source,
        "PathInContainer": place or source,
        "CgroupPermissions": access or "rwm",
    }


def _bindings(given: "Ports | None") -> "dict[str, list[dict[str, str]]]":
    """Published ports as the API has them."""
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
    """The places of anonymous volumes, and the binds of paths and named volumes."""
    if not given:
        return {}, []
    if isinstance(given, dict):
        binds = [f"{here}:{to['bind']}:{to.get('mode', 'rw')}" for here, to in given.items()]
        return {}, binds
    places: dict[str, dict[str, str]] = {text: {} for text in given if ":" not in text}
    return places, [text for text in given if ":" in text]


def _api_names(given: "Mapping[str, Any] | None") -> dict[str, object]:
    """A health check with the API's names: `start_period` is `StartPeriod`."""
    return {
        "".join(word.capitalize() for word in name.split("_")) if name.islower() else name: value
        for name, value in (given or {}).items()
    }


def words(given: "str | Sequence[str] | None") -> list[str] | None:
    """A command's words; one string is split as a shell would."""
    if given is None:
        return None
    if isinstance(given, str):
        import shlex  # noqa: PLC0415 only for this convenience, which the command line lacks

        return shlex.split(given)
    return list(given)


def pairs(given: "Mapping[str, str | None] | Sequence[str] | None") -> list[str] | None:
    """Variables of the environment as the API has them: `NAME=value`."""
    if given is None:
        return None
    if not isinstance(given, dict):
        return list(given)
    # As docker-py: a name without a value takes the variable out of the image's environment.
    return [name if value is None else f"{name}={value}" for name, value in given.items()]


def _labels(given: "dict[str, str] | Sequence[str] | None") -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        return {label.partition("=")[0]: label.partition("=")[2] for label in given}
    return dict(given)


def _bytes(given: int | str) -> int:
    return parse_size(given) if isinstance(given, str) else given
