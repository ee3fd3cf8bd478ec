"""cgroup v1: each flag of `labkit run`, and the file it writes (cgroups(7), "Cgroups version 1").

Every controller has its own hierarchy (a tree of folders), so a container has one group in each:
`/sys/fs/cgroup/<controller>/labkit/<id>/`.  Within a controller the rows have the order that the
kernel requires.
"""

from labkit.cgroups.limits import Limits
from labkit.cgroups.rules import Machine, Rule, disk_lines, text_of, weight_for, weight_lines
from labkit.cgroups.shares import clamp_shares

VERSION = 1

PERIOD_US = 100_000
"""The period of the CPU time quota: the kernel's default, a tenth of a second."""


def _cpu_shares(limits: Limits, _: Machine) -> str:
    return str(clamp_shares(limits.cpu_shares)) if limits.cpu_shares else ""


def _cpu_period(limits: Limits, _: Machine) -> str:
    return text_of(limits.cpu_period_us or (PERIOD_US if limits.nano_cpus else 0))


def _cpu_quota(limits: Limits, _: Machine) -> str:
    return text_of(limits.cpu_quota_us or limits.nano_cpus * PERIOD_US // 1_000_000_000)


def _cpus(limits: Limits, machine: Machine) -> str:
    return limits.cpuset_cpus or machine.cpus


def _mems(limits: Limits, machine: Machine) -> str:
    return limits.cpuset_mems or machine.mems


def _memory(limits: Limits, _: Machine) -> str:
    return text_of(limits.memory_bytes)


def _memory_and_swap(limits: Limits, machine: Machine) -> str:
    return text_of(limits.memory_and_swap_bytes) if machine.swap_accounting else ""


def _reservation(limits: Limits, _: Machine) -> str:
    return text_of(limits.memory_reservation_bytes)


def _swappiness(limits: Limits, _: Machine) -> str:
    asked = limits.memory_swappiness
    return "" if asked is None or asked < 0 else str(asked)


def _oom_kill_disable(limits: Limits, _: Machine) -> str:
    return "1" if limits.oom_kill_disable else ""


def _pids(limits: Limits, _: Machine) -> str:
    return text_of(max(limits.pids, 0))


RULES = (
    Rule("--cpu-shares", "cpu", "cpu.shares", _cpu_shares),
    # --cpus is a quota for the usual period; --cpu-period and --cpu-quota are these files.
    Rule("--cpus", "cpu", "cpu.cfs_period_us", _cpu_period),
    Rule("--cpus", "cpu", "cpu.cfs_quota_us", _cpu_quota),
    # A new v1 cpuset is empty, and no process can join it before both files are filled.
    Rule("--cpuset-cpus", "cpuset", "cpuset.cpus", _cpus),
    Rule("--cpuset-mems", "cpuset", "cpuset.mems", _mems),
    # Memory first: memory plus swap must never be the smaller of the two.
    Rule("--memory", "memory", "memory.limit_in_bytes", _memory),
    Rule("--memory-swap", "memory", "memory.memsw.limit_in_bytes", _memory_and_swap),
    Rule("--memory-reservation", "memory", "memory.soft_limit_in_bytes", _reservation),
    Rule("--memory-swappiness", "memory", "memory.swappiness", _swappiness),
    Rule("--oom-kill-disable", "memory", "memory.oom_control", _oom_kill_disable),
    Rule("--pids-limit", "pids", "pids.max", _pids),
    Rule("--blkio-weight", "blkio", "blkio.bfq.weight", weight_for("blkio.bfq.weight")),
    # Before 5.0 a scheduler that no longer exists had the weight.
    Rule("--blkio-weight", "blkio", "blkio.weight", weight_for("blkio.weight")),
    Rule(
        *("--blkio-weight-device", "blkio", "blkio.bfq.weight_device"),
        weight_lines("blkio.bfq.weight"),
    ),
    Rule("--device-read-bps", "blkio", "blkio.throttle.read_bps_device", disk_lines("rbps")),
    Rule("--device-write-bps", "blkio", "blkio.throttle.write_bps_device", disk_lines("wbps")),
    Rule("--device-read-iops", "blkio", "blkio.throttle.read_iops_device", disk_lines("riops")),
    Rule("--device-write-iops", "blkio", "blkio.throttle.write_iops_device", disk_lines("wiops")),
)

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "freezer", "devices")
"""The hierarchies that a container joins; cpuacct only counts, freezer only pauses."""

WEIGHT_FILES = ("blkio.bfq.weight", "blkio.weight")
"""The possible files for a weight on disks, the better first."""

OOM_COUNTER = ("memory.oom_control", "oom_kill")
