"""A container's groups and the values written there: complete data; nothing is opened."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.cgroups import devices, v1, v2
from labkit.cgroups.limits import Limits
from labkit.cgroups.rules import Machine
from labkit.cgroups.shares import shares_range


class Hierarchy(NamedTuple):
    """The place of one controller."""

    version: int
    directory: str
    """The folder that holds labkit's own group: a mount point, or a delegated subtree."""


class Group(NamedTuple):
    """One controller's part of a container: a folder, and the files to write there, in order.

    In v2 the controllers share one folder.
    """

    controller: str
    directory: str
    files: tuple[tuple[str, str], ...]
    device_rules: tuple[str, ...] = ()
    """The rules of v2's device filter, which is no file (`labkit.kernel.bpf`)."""


class Placement(NamedTuple):
    """All that the runtime needs to put a container under its limits."""

    groups: tuple[Group, ...]
    join: tuple[str, ...]
    """v1 folders whose `cgroup.procs` gets the container's process; () on pure v2."""
    clone_into: str
    """The v2 folder to create the process in (CLONE_INTO_CGROUP); "" without v2."""
    oom_counter: tuple[str, str]
    """File and key of the count of out-of-memory kills; ("", "") without a memory controller."""
    warnings: tuple[str, ...]
    """The limits that do not work here, one sentence each, in Docker's words."""


_TABLES = {v1.VERSION: v1, v2.VERSION: v2}

_CONTROLLERS = tuple(dict.fromkeys(v1.CONTROLLERS + v2.CORE + v2.CONTROLLERS))

_DISCARDED: tuple[tuple[str, Callable[[Limits], object], str], ...] = (
    (
        "cpu",
        lambda limits: limits.cpu_shares,
        "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
    ),
    (
        "cpu",
        lambda limits: limits.nano_cpus or limits.cpu_quota_us or limits.cpu_period_us,
        "Your kernel does not support CPU CFS scheduler or the cgroup is not mounted."
        " CPU quota discarded.",
    ),
    (
        "cpuset",
        lambda limits: limits.cpuset_cpus or limits.cpuset_mems,
        "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
    ),
    (
        "memory",
        lambda limits: limits.memory_bytes,
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted."
        " Limitation discarded.",
    ),
    (
        "memory",
        lambda limits: limits.memory_reservation_bytes,
        "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted."
        " Limitation discarded.",
    ),
    (
        "pids",
        lambda limits: limits.pids > 0,
        "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted."
        " PIDs limit discarded.",
    ),
)
"""A controller, whether it was asked for, and the warning if the machine lacks it."""

_ONLY_V1: tuple[tuple[Callable[[Limits], object], str], ...] = (
    (
        lambda limits: limits.memory_swappiness not in (None, -1),
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted."
        " Memory swappiness discarded.",
    ),
    (
        lambda limits: limits.oom_kill_disable,
        "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    ),
)
"""Limits of v1's memory controller alone: whether one was asked for, and the warning on v2."""

NO_DISK_WEIGHT = (
    "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."
)
NO_DISK_LIMIT = (
    "Your kernel does not support Block I/O limits or the cgroup is not mounted."
    " Limits of disks discarded."
)
UNLIMITED_WITHOUT_KILLS = (
    "OOM killer is disabled for the container, but no memory limit is set, this can result in the"
    " system running out of resources."
)
NO_SWAP_LIMIT = (
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted."
    " Memory limited without swap."
)


def place(
    hierarchies: Mapping[str, Hierarchy], name: str, limits: Limits, machine: Machine
) -> Placement:
    """Return the groups called `name` (`labkit/<id>`) that hold a container to `limits`.

    Each controller has its own hierarchy, so v1 and v2 may be mixed.
    """
    groups = []
    for controller in _CONTROLLERS:
        if controller in hierarchies:
            version, parent = hierarchies[controller]
            files = _files(version, controller, limits, machine)
            has_filter = (version, controller) == (v2.VERSION, "devices")
            rules = devices.rules(limits.device_rules) if has_filter else ()
            groups.append(Group(controller, f"{parent}/{name}", files, rules))
    versions = {group.directory: hierarchies[group.controller].version for group in groups}
    return Placement(
        groups=tuple(groups),
        join=tuple(path for path, version in versions.items() if version == v1.VERSION),
        clone_into=next((path for path, version in versions.items() if version == v2.VERSION), ""),
        oom_counter=_oom_counter(hierarchies, name),
        warnings=_warnings(hierarchies, limits, machine),
    )


def _files(
    version: int, controller: str, limits: Limits, machine: Machine
) -> tuple[tuple[str, str], ...]:
    if (version, controller) == (v1.VERSION, "devices"):
        return devices.v1_files(limits.device_rules)
    rules = [rule for rule in _TABLES[version].RULES if rule.controller == controller]
    values = [(rule.file, rule.value(limits, machine)) for rule in rules]
    return tuple((file, line) for file, value in values for line in value.splitlines())


def _oom_counter(hierarchies: Mapping[str, Hierarchy], name: str) -> tuple[str, str]:
    if "memory" not in hierarchies:
        return "", ""
    version, parent = hierarchies["memory"]
    file, key = _TABLES[version].OOM_COUNTER
    return f"{parent}/{name}/{file}", key


def _warnings(
    hierarchies: Mapping[str, Hierarchy], limits: Limits, machine: Machine
) -> tuple[str, ...]:
    kinds = {limit.kind for limit in limits.disks if limit.value}
    warnings = [
        sentence
        for controller, is_asked, sentence in _DISCARDED
        if controller not in hierarchies and is_asked(limits)
    ]
    if "cpu" in hierarchies and limits.cpu_shares:
        warnings += _shares_warnings(hierarchies["cpu"].version, limits.cpu_shares)
    if (limits.blkio_weight or "weight" in kinds) and not machine.weight_file:
        warnings.append(NO_DISK_WEIGHT)
    if kinds - {"weight"} and not {"blkio", "io"} & hierarchies.keys():
        warnings.append(NO_DISK_LIMIT)
    if limits.memory_bytes and "memory" in hierarchies and not machine.swap_accounting:
        warnings.append(NO_SWAP_LIMIT)
    if "memory" not in hierarchies or hierarchies["memory"].version != v1.VERSION:
        warnings += [sentence for is_asked, sentence in _ONLY_V1 if is_asked(limits)]
    elif limits.oom_kill_disable and not limits.memory_bytes:
        warnings.append(UNLIMITED_WITHOUT_KILLS)
    return tuple(warnings)


def _shares_warnings(version: int, shares: int) -> list[str]:
    """Return a warning if the kernel's scale ends before the requested number."""
    low, high = shares_range(version)
    if low <= shares <= high:
        return []
    kept = min(max(shares, low), high)
    return [f"Your kernel keeps CPU shares from {low} to {high}: {shares} is taken as {kept}."]
