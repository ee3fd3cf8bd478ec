"""What labkit knows about a container: what was asked, and what is so.

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
    """The API's spelling of a Python field name: `cpu_shares` is `CpuShares`."""
    return DOCKER_FIELD_NAMES.get(field) or "".join(word.capitalize() for word in field.split("_"))


RUNTIMES = ("labkit", "runc", "io.containerd.runc.v2")
"""What the engine's own runtime is called: the others are names that Docker's users write."""


class ContainerConfig(msgspec.Struct, rename=docker_name):
    """What runs: the part of a container that does not depend on the machine."""

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
    """The ports that others may want, such as `80/tcp`; the values are empty."""
    mac_address: str = ""
    network_disabled: bool = False
    """The same as the network mode `none`."""
    volumes: dict[str, dict[str, str]] | None = None
    """The places of anonymous volumes; the values are empty."""


class RestartPolicy(msgspec.Struct, rename=docker_name):
    """What becomes of the container when it has ended of itself (`life/restarts.py`)."""

    name: str = "no"
    maximum_retry_count: int = 0


class LogConfig(msgspec.Struct, rename=docker_name):
    """Where the log goes, and how long it may grow (labkit.containers.given.log_options)."""

    type: str = ""
    """Empty for the usual one, until the container is made."""
    config: dict[str, str] = msgspec.field(default_factory=dict)


class DeviceMapping(msgspec.Struct, rename=docker_name):
    """A device of the host that a container is given (labkit.containers.given.devices)."""

    path_on_host: str
    path_in_container: str = ""
    """Empty for the same."""
    cgroup_permissions: str = "rwm"
    """What it may do with it: r(ead), w(rite), m(knod)."""


class ThrottleDevice(msgspec.Struct, rename=docker_name):
    """How much of a disk per second: bytes or operations (labkit.containers.given.disks)."""

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
    """The limits that `create` and `update` have in common (`labkit.dialect.limits`)."""

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
    """How it runs on this machine: limits, network, what is writable."""

    network_mode: str = "default"
    pid_mode: str = ""
    """Whose PID namespace it has: `host`, `container:<id>`, or empty for its own."""
    ipc_mode: str = ""
    """As `pid_mode`; `private`, `shareable` (with others), `none` (and no /dev/shm)."""
    uts_mode: str = ""
    cgroupns_mode: str = ""
    """`host` or `private`."""
    userns_mode: str = ""
    """The same; empty for what labkitd was told by `--userns-remap`."""
    port_bindings: dict[str, list[PortBinding] | None] = msgspec.field(default_factory=dict)
    """Where its ports are published."""
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
    """The group that its own is in: from the top of the hierarchy, or below labkit's own."""
    sysctls: dict[str, str] | None = None
    """Parameters of the kernel that its namespaces have for themselves (`given/sysctls.py`).
    """
    group_add: list[str] | None = None
    """Groups of its user besides, by name or number."""
    annotations: dict[str, str] | None = None
    volume_driver: str = ""
    """The driver of the volumes that are made for it."""
    isolation: str = ""
    """Of Windows: empty or `default`, which are shown as they were asked for."""
    """Words for a runtime, which labkit's own has no use for: kept and shown."""
    runtime: str = "labkit"
    """A name of the engine's own runtime (`RUNTIMES`)."""
    shm_size: int = 0
    """How large /dev/shm is; 0 for Docker's 64 MiB."""
    privileged: bool = False
    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    security_opt: list[str] | None = None
    """`no-new-privileges`, `seccomp=…` (labkit.containers.given.security)."""
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    """What it may do with devices besides, as `c 42:* rwm` (labkit.cgroups.devices)."""
    ulimits: list[Ulimit] | None = None
    readonly_rootfs: bool = False
    init: bool | None = None
    binds: list[str] | None = None
    volumes_from: list[str] | None = None
    """Containers whose mounts this one has as well, `name` or `name:ro`."""
    mounts: list[Mount] | None = None
    tmpfs: dict[str, str] | None = None
    """The options of a tmpfs by its place."""
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    console_size: tuple[int, int] | None = None
    """Height and width of the first process's terminal, in characters."""


class HealthResult(msgspec.Struct, rename=docker_name):
    """One healthcheck's end."""

    start: str
    end: str
    exit_code: int
    output: str


class Health(msgspec.Struct, rename=docker_name):
    """What the healthchecks have found (`life/health.py`): starting, healthy, unhealthy."""

    status: str = "starting"
    failing_streak: int = 0
    log: list[HealthResult] = msgspec.field(default_factory=list)


class State(msgspec.Struct, rename=docker_name):
    """Where the container is in its life.  `status` is a word of Docker's.

    created, running, paused, restarting, exited, dead.
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
    """A device file as it was found on the host at the last start."""

    path: str
    """Its place in the container."""
    kind: str
    """`c` for a character device, `b` for a block device."""
    major: int
    minor: int
    mode: int
    uid: int
    gid: int
    access: str
    """What the container may do with it: r(ead), w(rite), m(knod)."""
    source: str = ""
    """Its place on the host."""


class DiskNode(msgspec.Struct):
    """A disk that has limits, as it was found at the last start."""

    path: str
    numbers: str
    """major:minor."""
    weighs: bool
    """Whether its scheduler is BFQ, which alone knows weights."""


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
    """The argument vector that is executed: entrypoint and command of image and request, merged."""
    restart_count: int = 0
    """How often its policy has restarted it in a row."""
    stopped_by_user: bool = False
    """Whether the last end was asked for, by stop or kill."""
    networks: dict[str, EndpointConfig] = msgspec.field(default_factory=dict)
    """The networks it is on, by name, and what it wants of each (`given/networking.py`)."""
    mount_points: list[MountPoint] = msgspec.field(default_factory=list)
    """What is mounted in it, in the order of mounting (`given/mounts.py`)."""
    devices: list[DeviceNode] = msgspec.field(default_factory=list)
    """The host's devices it has, as they were found at the last start."""
    disks: list[DiskNode] = msgspec.field(default_factory=list)
    """The disks it has limits on."""
    id_ranges: IdRanges | None = None
    """Which ids of the host its users are, as of the last start; None for the same ids."""
    without: list[str] = msgspec.field(default_factory=list)
    """The steps left out of the plan on purpose (`--without`); empty for every honest container."""
