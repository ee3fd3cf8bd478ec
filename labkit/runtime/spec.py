"""The input of the planner for one container: plain data, already decided and checked."""

from dataclasses import dataclass, field

DEFAULT_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
)
"""The capabilities Docker leaves to a container's root user."""

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""The paths that Docker covers: these files reveal the host, or allow harm to it."""

DEFAULT_SHM_BYTES = 64 * 1024 * 1024

READ_ONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
"""The paths that Docker makes read-only: writing there changes the whole kernel."""

TTY = 5
"""The id of the group tty, the same on every Linux."""


@dataclass(frozen=True, slots=True)
class CgroupPart:
    """One controller's share of the container's limits (`labkit.cgroups` computes it)."""

    controller: str
    directory: str
    files: tuple[tuple[str, str], ...] = ()
    """File names and values, in the order to write them."""
    device_rules: tuple[str, ...] = ()
    """The rules of the group's device filter (cgroup v2); empty for no filter."""


@dataclass(frozen=True, slots=True)
class CgroupMount:
    """A cgroup file system to show inside the container, below /sys/fs/cgroup."""

    name: str
    """The folder's name (`memory`, `cpu,cpuacct`), or empty for cgroup v2's single tree."""
    kind: str
    options: str


ResourceLimit = tuple[str, int, int]
"""A resource of setrlimit(2) by its name (`nofile`), the soft limit, the hard one."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device file to make in the container."""

    path: str
    kind: str
    """`c` for a character device, `b` for a block device."""
    major: int
    minor: int
    mode: int
    """The permissions, as of chmod(2)."""
    uid: int
    gid: int
    source: str = ""
    """Its path on the host."""


@dataclass(frozen=True, slots=True)
class BindMount:
    """A file or folder of the host shown in the container; `name` is its step's name."""

    name: str
    why: str
    source: str
    target: str
    read_only: bool = False
    subpath: str = ""
    """The part of the source that is shown."""
    recursive: bool = True
    """Whether to include the mounts below the source."""
    read_only_recursive: bool = True
    """Whether those are read-only as well."""
    propagation: str = ""
    """`shared`, `slave`, or the same with `r` before it; empty for private."""


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """An empty file system in memory, shown in the container; `name` is its step's name."""

    name: str
    why: str
    target: str
    flags: int
    """The flags of mount(2)."""
    data: str
    """tmpfs's own options (tmpfs(5))."""


@dataclass(frozen=True, slots=True)
class ImageMount:
    """The files of an image shown in the container, read-only; `name` is its step's name."""

    name: str
    why: str
    layers: tuple[str, ...]
    """Unpacked, the topmost first."""
    target: str
    subpath: str = ""
    """The part of it that is shown."""


AnyMount = BindMount | TmpfsMount | ImageMount


@dataclass(frozen=True, slots=True)
class Interface:
    """A cable from the container to a bridge, and the interface at its inner end."""

    name: str
    host_name: str
    bridge: str
    mac: str
    mtu: int
    addresses: tuple[tuple[str, int], ...]
    """Addresses with the lengths of their subnets' prefixes."""
    gateways: tuple[str, ...] = ()
    """Where the default routes lead, on one of a container's interfaces."""
    isolated: bool = False
    """Whether it reaches the bridge alone, and none of the others there."""
    shares: tuple[str, str] = ("", "")
    """Kind and mode, if it is a macvlan or ipvlan of the link `bridge` and not a cable."""


@dataclass(frozen=True, slots=True)
class Network:
    """The container's network; all defaults give only a loopback interface."""

    host: bool = False
    """Whether it is in the host's network namespace."""
    joins: tuple[int, int] | None = None
    """The process that shares its network: its pid, and its start time in clock ticks."""
    interfaces: tuple[Interface, ...] = ()
    ports: tuple[tuple[str, str, int], ...] = ()
    """The published ports: protocol, address and port of the host."""
    relays: tuple[tuple[str, str, int, str, int], ...] = ()
    """The same, and the container's address and port, if packets cannot be forwarded."""
    holder: str = ""
    """The socket of the process that opens those ports."""
    name_server: str = ""
    """The address at which it asks labkit for names; empty if it does not."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """The owner of the container's namespace of some kind, if not the container itself."""

    host: bool = False
    joins: tuple[int, int] | None = None
    """The process that shares the namespace: its pid, and its start time in clock ticks."""


IdRange = tuple[int, int, int]
"""The first id inside, the first id on the host, and how many."""


@dataclass(frozen=True, slots=True)
class UserNamespace:
    """The ids of the container's users and groups on the host."""

    uids: tuple[IdRange, ...]
    gids: tuple[IdRange, ...]
    data_root: str
    """The folder that is shown with its files' owners mapped: labkit's data root."""
    mounts: bool = False
    """Whether its root may mount: it keeps CAP_SYS_ADMIN."""

    def host_uid(self, inside: int) -> int:
        """Return the host's id of a user; one that is not mapped keeps its number."""
        return _mapped(self.uids, inside)

    def host_gid(self, inside: int) -> int:
        """Return the host's id of a group; one that is not mapped keeps its number."""
        return _mapped(self.gids, inside)


def _mapped(ranges: tuple[IdRange, ...], inside: int) -> int:
    for first, outside, count in ranges:
        if first <= inside < first + count:
            return outside + inside - first
    return inside


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All values that the plan of a container depends on."""

    container_id: str
    command: tuple[str, ...]
    hostname: str
    layers: tuple[str, ...]
    """The image's unpacked layers, topmost first."""
    upper: str
    """The writable layer."""
    work: str
    """overlayfs's own scratch folder, on the file system of `upper`."""
    root_mount: str
    """An empty folder of the host on which the root file system is mounted, in private."""
    storage: str = "overlayfs"
    """The storage driver's name (labkit.snapshots)."""
    copied_root: str = ""
    """The path for a copy of the topmost layer, if no overlay works; "" for a union."""
    user: str = ""
    more_groups: tuple[str, ...] = ()
    """Further groups of its user, by name or number."""
    domainname: str = ""
    sysctls: tuple[tuple[str, str, str], ...] = ()
    """Kernel parameters of its namespaces: the step's name, the file, and the value."""
    working_directory: str = "/"
    network: Network = Network()
    pid: Sharing = Sharing()
    ipc: Sharing = Sharing()
    uts: Sharing = Sharing()
    cgroup: Sharing = Sharing()
    user_namespace: UserNamespace | None = None
    """Its own user namespace; None for the host's."""
    has_shm: bool = True
    """Whether it has a /dev/shm: its own, or that of the IPC namespace it shares."""
    read_only_root: bool = False
    open_stdin: bool = False
    """Whether clients can send it input; if not, its stdin is its own /dev/null."""
    tty: bool = False
    console_size: tuple[int, int] = (0, 0)
    """Height and width of the terminal in characters; (0, 0) leaves the kernel's default."""
    shm_bytes: int = DEFAULT_SHM_BYTES
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    seccomp_program: bytes = b""
    apparmor_profile: str = ""
    """The AppArmor profile that confines its processes; empty for none."""
    oom_score_adj: int | None = None
    """Between -1000 and 1000: the higher, the sooner it is killed when the machine lacks memory.
    None for labkitd's own.
    """
    resource_limits: tuple[ResourceLimit, ...] = ()
    no_new_privileges: bool = False
    """Whether no program gains power from its file, not even a setuid one."""
    privileged: bool = False
    """Whether it may write to /sys and the cgroups."""
    masked_paths: tuple[str, ...] = MASKED_PATHS
    readonly_paths: tuple[str, ...] = READ_ONLY_PATHS
    devices: tuple[Device, ...] = ()
    """The devices of the host that it gets besides the usual ones."""
    cgroup_parts: tuple[CgroupPart, ...] = ()
    cgroup_join: tuple[str, ...] = ()
    """The groups that the process enters by itself (cgroup v1)."""
    cgroup_clone_into: str = ""
    """The group in which the process starts (cgroup v2)."""
    cgroup_mounts: tuple[CgroupMount, ...] = ()
    mounts: tuple[AnyMount, ...] = field(default=())
    """The mounts besides the kernel's own file systems, in the order of mounting."""
    limited: bool = False
    """Whether the engine has power only in a user namespace."""
    has_tty_group: bool = True
    """Whether the group tty exists inside: an engine without subordinate ids has one user."""
    last_capability: int = 40
