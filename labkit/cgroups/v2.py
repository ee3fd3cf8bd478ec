"""cgroup v2: each flag of `labkit run`, and the file it writes.

There is one hierarchy, so a container has one group, `/sys/fs/cgroup/labkit/<id>/`, that holds the
files of every controller (Documentation/admin-guide/cgroup-v2.rst).
"""

from labkit.cgroups.limits import Limits
from labkit.cgroups.rules import Machine, Rule, disk_lines, text_of, weight_for, weight_lines
from labkit.cgroups.shares import io_weight_from_blkio, weight_from_shares

VERSION = 2

PERIOD_US = 100_000
"""The period of the CPU time quota: the kernel's default, a tenth of a second."""


def _cpu_weight(limits: Limits, _: Machine) -> str:
    return str(weight_from_shares(limits.cpu_shares)) if limits.cpu_shares else ""


def _cpu_max(limits: Limits, _: Machine) -> str:
    """Return quota and period for the one file; a period alone limits nothing."""
    quota_us = limits.cpu_quota_us or limits.nano_cpus * PERIOD_US // 1_000_000_000
    if quota_us <= 0 and not limits.cpu_period_us:
        return ""
    return f"{quota_us if quota_us > 0 else 'max'} {limits.cpu_period_us or PERIOD_US}"


def _cpus(limits: Limits, _: Machine) -> str:
    return limits.cpuset_cpus


def _mems(limits: Limits, _: Machine) -> str:
    return limits.cpuset_mems


def _memory(limits: Limits, _: Machine) -> str:
    return text_of(limits.memory_bytes)


def _swap(limits: Limits, machine: Machine) -> str:
    """Return swap alone: v2 counts it apart from memory; the flag and v1 mean the sum."""
    total = limits.memory_and_swap_bytes
    if not total or not machine.swap_accounting:
        return ""
    return "max" if total < 0 else str(total - limits.memory_bytes)


def _reservation(limits: Limits, _: Machine) -> str:
    return text_of(limits.memory_reservation_bytes)


def _pids(limits: Limits, _: Machine) -> str:
    return text_of(max(limits.pids, 0))


def _io_weight(limits: Limits, machine: Machine) -> str:
    asked = limits.blkio_weight
    return str(io_weight_from_blkio(asked)) if asked and machine.weight_file == IO_WEIGHT else ""


IO_WEIGHT, BFQ_WEIGHT = "io.weight", "io.bfq.weight"

RULES = (
    Rule("--cpu-shares", "cpu", "cpu.weight", _cpu_weight),
    Rule("--cpus", "cpu", "cpu.max", _cpu_max),
    Rule("--cpuset-cpus", "cpuset", "cpuset.cpus", _cpus),
    Rule("--cpuset-mems", "cpuset", "cpuset.mems", _mems),
    Rule("--memory", "memory", "memory.max", _memory),
    Rule("--memory-swap", "memory", "memory.swap.max", _swap),
    Rule("--memory-reservation", "memory", "memory.low", _reservation),
    Rule("--pids-limit", "pids", "pids.max", _pids),
    Rule("--blkio-weight", "io", BFQ_WEIGHT, weight_for(BFQ_WEIGHT)),
    Rule("--blkio-weight", "io", IO_WEIGHT, _io_weight),
    Rule("--blkio-weight-device", "io", BFQ_WEIGHT, weight_lines(BFQ_WEIGHT)),
    # A line of io.max leaves the limits that it does not name as they are.
    Rule("--device-read-bps", "io", "io.max", disk_lines("rbps", "{device} rbps={value}")),
    Rule("--device-write-bps", "io", "io.max", disk_lines("wbps", "{device} wbps={value}")),
    Rule("--device-read-iops", "io", "io.max", disk_lines("riops", "{device} riops={value}")),
    Rule("--device-write-iops", "io", "io.max", disk_lines("wiops", "{device} wiops={value}")),
)

CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io")
"""The controllers that labkit enables in `cgroup.subtree_control`; each may be missing."""

CORE = ("freezer", "devices")
"""The features of v1 controllers that every group of v2 has: `cgroup.freeze`, `cgroup.kill`, and an
eBPF program for devices (`labkit.kernel.bpf`)."""

WEIGHT_FILES = (BFQ_WEIGHT, IO_WEIGHT)
"""The possible files for a weight on disks, the better first."""

OOM_COUNTER = ("memory.events", "oom_kill")
