"""The record of a container: the request, and the container's state.

`ContainerConfig` and `HostConfig` are the Docker Engine API's own structures (`labkit.API_VERSION`,
the part that is implemented), field for field.  So the JSON that a client sends is the JSON on disk
and the JSON that `inspect` shows.  Memory is in bytes, `NanoCpus` in 10⁻⁹ CPUs, times are RFC 3339
in UTC.
"""

import msgspec

from labkit.containers.records.id_ranges import IdRanges
from labkit.containers.records.mount_model import Mount, MountPoint
from labkit.images.models import Healthcheck
from labkit.networks.model import EndpointConfig
from labkit.networks.ports import PortBinding

DOCKER_FIELD_NAMES = {
    "blkio_device_read_iops": "BlkioDeviceReadIOps",
    "blkio_device_write_iops": "BlkioDeviceWriteIOps",
    "cpuset_cpus": "CpusetCpus",
    "uts_mode": "UTSMode",
    "readonly_rootfs": "ReadonlyRootfs",
    "oom_killed": "OOMKilled",
}


def docker_name(field: str) -> str:
    """The API's spelling of a Python field name: `CpuShares` for `cpu_shares`."""
    return DOCKER_FIELD_NAMES.get(field) or "".join(word.capitalize() for word in field.split("_"))


RUNTIMES = ("labkit", "runc", "io.containerd.runc.v2")
"""The names of the engine's own runtime; Docker's users write the last two."""


class ContainerConfig(msgspec.Struct, rename=docker_name):
    """The part of a container that does not depend on the machine: its command and environment."""

    image: str = ""
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = True
    attach_stderr: bool = True
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | str | None = None
    entrypoint: list[str] | str | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None
    healthcheck: Healthcheck | None = None
    exposed_ports: dict[str, dict[str, str]] | None = None
    """The ports that other containers may use, such as `80/tcp`; the values are empty."""
    mac_address: str = ""
    network_disabled: bool = False
    """The same as the network mode `none`."""
    volumes: dict[str, dict[str, str]] | None = None
    """The paths of anonymous volumes; the values are empty."""


class RestartPolicy(msgspec.Struct, rename=docker_name):
    """Whether the container restarts after it has ended by itself (`life/restarts.py`)."""

    name: str = "no"
    maximum_retry_count: int = 0


class LogConfig(msgspec.Struct, rename=docker_name):
    """The log's driver and its limits (labkit.containers.given.log_options)."""

    type: str = ""
    """Empty for the default driver, which `create` fills in."""
    config: dict[str, str] = msgspec.field(default_factory=dict)


class DeviceMapping(msgspec.Struct, rename=docker_name):
    """A device of the host for a container (labkit.containers.given.devices)."""

    path_on_host: str
    path_in_container: str = ""
    """Empty for the same path as on the host."""
    cgroup_permissions: str = "rwm"
    """The allowed operations: r(ead), w(rite), m(knod)."""


class ThrottleDevice(msgspec.Struct, rename=docker_name):
    """A limit of a disk per second: bytes or operations (labkit.containers.given.disks)."""

    path: str
    rate: int = 0


class WeightDevice(msgspec.Struct, rename=docker_name):
    """A weight on one disk, 10 to 1000 (labkit.containers.given.disks)."""

    path: str
    weight: int = 0


class Ulimit(msgspec.Struct, rename=docker_name):
    """A limit of setrlimit(2) for each process (labkit.containers.given.ulimits); -1 for none."""

    name: str
    soft: int = 0
    hard: int = 0


class Resources(msgspec.Struct, rename=docker_name):
    """The limits that both `create` and `update` have (`labkit.dialect.limits`)."""

    cpu_shares: int = 0
    nano_cpus: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    pids_limit: int | None = None
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None


class HostConfig(Resources, rename=docker_name):
    """The part that depends on the machine: limits, network, mounts, rights."""

    network_mode: str = "default"
    pid_mode: str = ""
    """The PID namespace: `host`, `container:<id>`, or empty for a private one."""
    ipc_mode: str = ""
    """Like `pid_mode`; `private`, `shareable` (by others), `none` (without /dev/shm too)."""
    uts_mode: str = ""
    cgroupns_mode: str = ""
    """`host` or `private`."""
    userns_mode: str = ""
    """`host` or `private`; empty for the value of labkitd's `--userns-remap`."""
    port_bindings: dict[str, list[PortBinding] | None] = msgspec.field(default_factory=dict)
    """The host's addresses and ports for each published port."""
    publish_all_ports: bool = False
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    """Lines for /etc/hosts, as `name:address`."""
    links: list[str] | None = None
    """Other containers on the default network and names for them, as `container:alias`."""
    auto_remove: bool = False
    oom_score_adj: int = 0
    cgroup_parent: str = ""
    """The parent of the container's cgroup: from the root of the hierarchy, or below labkit's."""
    sysctls: dict[str, str] | None = None
    """Kernel parameters that belong to the container's namespaces (`given/sysctls.py`)."""
    group_add: list[str] | None = None
    """More groups of its user, by name or number."""
    annotations: dict[str, str] | None = None
    """Values for another runtime: labkit keeps and shows them, and does not use them."""
    volume_driver: str = ""
    """The driver of the volumes that are made for it."""
    isolation: str = ""
    """Of Windows: empty or `default`, and shown as it was requested."""
    runtime: str = "labkit"
    """One of the names of the engine's runtime (`RUNTIMES`)."""
    shm_size: int = 0
    """The size of /dev/shm in bytes; 0 for Docker's 64 MiB."""
    privileged: bool = False
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    security_opt: list[str] | None = None
    """`no-new-privileges`, `seccomp=…` (labkit.containers.given.security)."""
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    """More rules for access to devices, such as `c 42:* rwm` (labkit.cgroups.devices)."""
    ulimits: list[Ulimit] | None = None
    readonly_rootfs: bool = False
    init: bool | None = None
    binds: list[str] | None = None
    volumes_from: list[str] | None = None
    """Containers whose mounts this one gets too, `name` or `name:ro`."""
    mounts: list[Mount] | None = None
    tmpfs: dict[str, str] | None = None
    """The options of each tmpfs, by its path."""
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    console_size: tuple[int, int] | None = None
    """Height and width of the first process's terminal, in characters."""


class HealthResult(msgspec.Struct, rename=docker_name):
    """The result of one healthcheck."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(msgspec.Struct, rename=docker_name):
    """The results of the healthchecks (`life/health.py`): starting, healthy or unhealthy."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[HealthResult] = msgspec.field(default_factory=list)


class State(msgspec.Struct, rename=docker_name):
    """The state of a container.  `status` is one of Docker's words:

    created, running, paused, restarting, exited, removing, dead.
    """

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: str = "0001-01-01T00:00:00Z"
    finished_at: str = "0001-01-01T00:00:00Z"
    health: Health | None = None


class DeviceNode(msgspec.Struct):
    """A device file of the host, as found at the last start."""

    path: str
    """Its path in the container."""
    kind: str
    """`c` for a character device, `b` for a block device."""
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    access: str
    """The operations that the container may do: r(ead), w(rite), m(knod)."""
    source: str = ""
    """Its path on the host."""


class DiskNode(msgspec.Struct):
    """A disk with limits, as found at the last start."""

    path: str
    numbers: str
    """major:minor."""
    weighs: bool
    """Whether its scheduler is BFQ, the only one with weights."""


class Container(msgspec.Struct, rename=docker_name):
    """One container's record, as it is written to `containers/<id>/container.json`."""

    id: str
    name: str
    created: str
    image_id: str
    config: ContainerConfig
    host_config: HostConfig
    state: State
    command: list[str]
    """The argument vector to execute: entrypoint and command of image and request, merged."""
    restart_count: int = 0
    """The number of restarts in a row by its policy."""
    stopped_by_user: bool = False
    """Whether a user caused the last end, by stop or kill."""
    networks: dict[str, EndpointConfig] = msgspec.field(default_factory=dict)
    """Its networks, by name, with its settings on each (`given/networking.py`)."""
    mount_points: list[MountPoint] = msgspec.field(default_factory=list)
    """Its mounts, in the order of mounting (`given/mounts.py`)."""
    devices: list[DeviceNode] = msgspec.field(default_factory=list)
    """The host's devices in it, as found at the last start."""
    disks: list[DiskNode] = msgspec.field(default_factory=list)
    """The disks that it has limits on."""
    id_ranges: IdRanges | None = None
    """The host's ids of its users, as of the last start; None for the same ids."""
    without: list[str] = msgspec.field(default_factory=list)
    """The steps left out of the plan on purpose (`--without`); empty outside of experiments."""
