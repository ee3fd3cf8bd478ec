"""From a container's record and its image to a specification, which the planner reads."""

import os
import posixpath
import re
from collections.abc import Sequence

from labkit import cgroups
from labkit.cgroups import Layout, Limits, Placement
from labkit.containers.given import devices, disks, etc_files, mounting, security, sysctls, ulimits
from labkit.containers.records.model import (
    RUNTIMES,
    Container,
    ContainerConfig,
    DeviceNode,
    DiskNode,
    HostConfig,
)
from labkit.dialect.limits import LIMITS
from labkit.errors import InvalidParameterError
from labkit.images import Image
from labkit.kernel import capabilities, files, power
from labkit.networks import ports
from labkit.networks.etc_files import check_extra_host
from labkit.runtime.spec import (
    DEFAULT_SHM_BYTES,
    TTY,
    AnyMount,
    BindMount,
    CgroupMount,
    CgroupPart,
    ContainerSpec,
    Device,
    Network,
)
from labkit.signals import parse_signal

HOSTNAME = re.compile(r"[!-.0-~]{1,64}")
"""The host names that sethostname(2) accepts and a line of /etc/hosts can contain."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
INIT_PROGRAM = "/usr/bin/tini-static"
INIT_TARGET = "/dev/init"


def merge_command(config: ContainerConfig, image: Image) -> list[str]:
    """The argument vector: the request's entrypoint and command, completed from the image's.

    A new entrypoint drops the image's command; an empty one (`--entrypoint ""`) drops the image's
    entrypoint (Docker's rule).
    """
    entrypoint, command = _words(config.entrypoint), _words(config.cmd)
    if entrypoint is None:
        entrypoint = image.config.entrypoint or []
        if not command:
            command = image.config.cmd or []
    elif entrypoint == [""]:
        entrypoint, config.entrypoint = [], None
    words = [*entrypoint, *(command or [])]
    if not words or not words[0]:
        raise InvalidParameterError(
            "no command specified: the image has neither CMD nor ENTRYPOINT; give a command"
        )
    return words


def _words(value: list[str] | str | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


def limits_of(
    host: HostConfig, nodes: Sequence[DeviceNode] = (), found: Sequence[DiskNode] = ()
) -> Limits:
    """The limits in a host configuration.

    `nodes` are the container's devices, `found` the disks that it has limits on.
    """
    asked = {row.limit: getattr(host, row.model) for row in LIMITS}
    return Limits(
        **asked | {"pids": host.pids_limit or 0},
        device_rules=devices.cgroup_rules(host, nodes),
        disks=disks.limits(host, found),
    )


def online_cpus() -> str:
    """The machine's CPUs as a list, such as `0-3`."""
    return files.text_of("/sys/devices/system/cpu/online").strip()


def check_limits(
    host: HostConfig, nodes: Sequence[DeviceNode] = (), found: Sequence[DiskNode] = ()
) -> None:
    """InvalidParameterError for limits that this machine cannot apply."""
    online_mems = files.text_of("/sys/devices/system/node/online").strip() or "0"
    cgroups.check(limits_of(host, nodes, found), online_cpus(), online_mems)
    if host.shm_size < 0:
        raise InvalidParameterError("SHM size can not be less than 0")


def fill_in(host: HostConfig) -> None:
    """Fill in the default values, as `inspect` shows them."""
    host.shm_size = host.shm_size or DEFAULT_SHM_BYTES
    if host.memory_swappiness == -1:
        host.memory_swappiness = None
    security.fill_in(host)


def merge_config(config: ContainerConfig, image: Image) -> None:
    """Complete the request from the image's configuration, as `inspect` shows it."""
    of_image = image.config
    config.env = _merge_environment(of_image.env or [], config.env or [])
    config.labels = {**(of_image.labels or {}), **(config.labels or {})}
    config.user = config.user or of_image.user
    config.working_dir = config.working_dir or of_image.working_dir
    config.stop_signal = config.stop_signal or of_image.stop_signal
    asked = ports.parse_exposed(config.exposed_ports or ())
    numbered: dict[str, dict[str, str]] = {f"{port}/{protocol}": {} for port, protocol in asked}
    config.exposed_ports = {**(of_image.exposed_ports or {}), **numbered} or None
    of_root: dict[str, dict[str, str]] = {
        posixpath.join("/", path): {} for path in of_image.volumes or {}
    }
    config.volumes = {**of_root, **(config.volumes or {})} or None


def _merge_environment(of_image: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return the words of both, those asked for first; the last word of a name counts.

    A word without `=` stays, as in Docker: it keeps the name out of the processes' environment.
    """
    default = f"PATH={DEFAULT_PATH}"
    words = {word.partition("=")[0]: word for word in [default, *of_image, *asked]}
    first = dict.fromkeys(word.partition("=")[0] for word in asked)
    return [words[name] for name in {**first, **words}]


def environment(container: Container) -> list[str]:
    """The environment of the container's processes, except what is known only at the start."""
    config = container.config
    of_engine = [f"HOSTNAME={config.hostname}", *(["TERM=xterm"] if config.tty else [])]
    names = {word.partition("=")[0] for word in config.env or []}
    others = [word for word in of_engine if word.partition("=")[0] not in names]
    return [*others, *set_variables(config.env or [])]


def set_variables(words: Sequence[str]) -> list[str]:
    """Return the last word of each name; a word without `=` removes its name."""
    return [word for word in {w.partition("=")[0]: w for w in words}.values() if "=" in word]


def build_spec(
    container: Container,
    image: Image,
    *,
    folder: str,
    layout: Layout,
    placement: Placement,
    network: Network,
    etc_folder: str,
    layers_of: mounting.Layers,
) -> ContainerSpec:
    """Everything that the planner needs; reads no file of the container.

    `folder` is the container's folder; the files of `etc_folder` are bound into its /etc.
    """
    config, host = container.config, container.host_config
    command = container.command
    own_mounts: list[AnyMount] = [
        BindMount(
            *(f"mount.{name}", why, f"{etc_folder}/{name}", f"/etc/{name}"),
            read_only=host.readonly_rootfs,
        )
        for name, why in etc_files.NAMES.items()
    ]
    if host.init:
        why = "--init: a first process that forwards signals and reaps orphaned processes"
        own_mounts.append(BindMount("mount.init", why, INIT_PROGRAM, INIT_TARGET, read_only=True))
        command = [INIT_TARGET, "--", *command]
    return ContainerSpec(
        container_id=container.id,
        command=tuple(command),
        hostname=config.hostname,
        layers=tuple(image.layer_directories()),
        upper=f"{folder}/upper",
        work=f"{folder}/work",
        root_mount=f"{folder}/merged",
        user=config.user,
        more_groups=tuple(host.group_add or ()),
        domainname=config.domainname,
        sysctls=tuple(sysctls.of(host)),
        working_directory=config.working_dir or "/",
        open_stdin=config.open_stdin,
        tty=config.tty,
        console_size=host.console_size or (0, 0),
        network=network,
        has_shm=host.ipc_mode != "none",
        read_only_root=host.readonly_rootfs,
        capabilities=security.kept_capabilities(host),
        seccomp_program=security.seccomp_program(host),
        no_new_privileges=security.no_new_privileges(host),
        oom_score_adj=security.oom_score(host),
        apparmor_profile=security.apparmor_profile(host),
        resource_limits=ulimits.resource_limits(host),
        privileged=host.privileged,
        masked_paths=tuple(host.masked_paths or ()),
        readonly_paths=tuple(host.readonly_paths or ()),
        devices=tuple(map(_device, container.devices)),
        cgroup_parts=tuple(CgroupPart(*group) for group in placement.groups),
        cgroup_join=placement.join,
        cgroup_clone_into=placement.clone_into,
        cgroup_mounts=cgroup_mounts(layout),
        shm_bytes=host.shm_size or DEFAULT_SHM_BYTES,
        mounts=mounting.in_order(own_mounts, container.mount_points, layers_of),
        limited=power.IS_LIMITED,
        has_tty_group=power.has_group(TTY),
        last_capability=capabilities.last_capability(),
    )


def _device(node: DeviceNode) -> Device:
    numbers = (node.major, node.minor)
    return Device(node.path, node.kind, *numbers, node.mode, node.uid, node.gid, node.source)


def cgroup_mounts(layout: Layout) -> tuple[CgroupMount, ...]:
    """The cgroup file systems in a container: each v1 hierarchy in a folder, or the v2 tree."""
    controllers: dict[str, list[str]] = {}
    for name, hierarchy in layout.hierarchies.items():
        if hierarchy.version == 1:
            folder = os.path.basename(layout.mount_points.get(name, hierarchy.directory))
            controllers.setdefault(folder, []).append(name)
    if not controllers:
        return (CgroupMount("", "cgroup2", ""),) if layout.hierarchies else ()
    return tuple(
        CgroupMount(folder, "cgroup", ",".join(names)) for folder, names in controllers.items()
    )


def check(config: ContainerConfig, host: HostConfig) -> None:
    """InvalidParameterError for values that Docker refuses too; sets Docker's default limits."""
    if host.init and not os.access(INIT_PROGRAM, os.X_OK):
        raise InvalidParameterError(
            f"--init needs {INIT_PROGRAM}, which does not exist: install the package tini"
        )
    for word in config.env or ():
        if not word.partition("=")[0]:
            raise InvalidParameterError(f"invalid environment variable: {word[:100]}")
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidParameterError(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute "
            "path"
        )
    if config.hostname and not HOSTNAME.fullmatch(config.hostname):
        raise InvalidParameterError(
            f"invalid hostname {config.hostname[:70]!r}: at most 64 characters, no blanks"
        )
    if config.domainname and not HOSTNAME.fullmatch(config.domainname):
        raise InvalidParameterError(
            f"invalid domainname {config.domainname[:70]!r}: at most 64 characters, no blanks"
        )
    if ".." in host.cgroup_parent.split("/") or not host.cgroup_parent.isprintable():
        raise InvalidParameterError(
            f"invalid cgroup parent {host.cgroup_parent!r}: it must be a path without .. in it"
        )
    host.runtime = host.runtime or RUNTIMES[0]
    if host.runtime not in RUNTIMES:
        raise InvalidParameterError(
            f"unknown or invalid runtime name: {host.runtime}: labkit has only its own, which has "
            f"the names {', '.join(RUNTIMES)}"
        )
    if config.stop_signal:
        parse_signal(config.stop_signal)
    for text in host.extra_hosts or []:
        check_extra_host(text)
    if host.pids_limit is not None and host.pids_limit <= 0:
        host.pids_limit = None
    if host.memory > 0 and not host.memory_swap:
        host.memory_swap = 2 * host.memory


def without_warnings(without: Sequence[str]) -> list[str]:
    """A warning for each step that is left out on purpose."""
    return [
        f"This container runs WITHOUT {name}: it is an experiment, not isolated as it should be."
        for name in without
    ]
