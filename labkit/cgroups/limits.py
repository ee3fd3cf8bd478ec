"""The limits that the user asked for a container, and the check that they make sense."""

from typing import NamedTuple

from labkit.cgroups import devices
from labkit.errors import InvalidParameterError

MINIMUM_MEMORY_BYTES = 6 * 1024 * 1024
"""Docker refuses less: no program starts in it, and the error would be hard to understand."""
MINIMUM_NANO_CPUS = 10_000_000
"""0.01 CPU is a quota of 1 ms in a period of 100 ms, the least that the kernel accepts."""

MAXIMUM_QUOTA_US = 2**44 - 1
"""The scheduler's own limit (kernel/sched/sched.h, MAX_BW)."""
MAXIMUM_PIDS = 4 * 1024 * 1024
"""The most processes a kernel can have (PID_MAX_LIMIT)."""
LIST_CHARACTERS = 4096
MINIMUM_PERIOD_US, MAXIMUM_PERIOD_US = 1_000, 1_000_000


MINIMUM_WEIGHT, MAXIMUM_WEIGHT = 10, 1000
LARGEST_IOPS = 2**32 - 1


class DiskLimit(NamedTuple):
    """A limit on one disk."""

    device: str
    """Its numbers, major:minor."""
    kind: str
    """As `io.max` names it, `rbps`, `wbps`, `riops` or `wiops`, per second; or `weight`."""
    value: int


class Limits(NamedTuple):
    """The limits of one container; 0 or "" for a limit that was not asked."""

    cpu_shares: int = 0
    """Relative weight under contention; 1024 is the default, if no limit is given."""
    nano_cpus: int = 0
    """CPU time per second, in 10⁻⁹ CPUs: 1_500_000_000 is one and a half."""
    cpu_period_us: int = 0
    """The period of the CPU time quota; 0 for the kernel's default, a tenth of a second."""
    cpu_quota_us: int = 0
    """CPU time in each period, of all CPUs together; an older form of `nano_cpus`."""
    cpuset_cpus: str = ""
    """The CPUs it may run on, as in `0-2,7` (cpuset(7), list format)."""
    cpuset_mems: str = ""
    """The memory nodes it may use, in the same format."""
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    """Memory *plus* swap; -1 for unlimited swap, 0 for Docker's default, twice the memory."""
    memory_reservation_bytes: int = 0
    """The memory that it keeps when the machine is short of memory."""
    memory_swappiness: int | None = None
    """How readily its memory is swapped out: 0 to 100; None or -1 for the machine's default."""
    oom_kill_disable: bool = False
    """At its limit it waits for memory, and none of its processes is killed."""
    pids: int = 0
    """The most processes and threads at once; 0 or -1 for unlimited."""
    blkio_weight: int = 0
    """Relative weight on disks under contention, 10 to 1000; others have 100."""
    disks: tuple[DiskLimit, ...] = ()
    device_rules: tuple[str, ...] = ()
    """Its device rules besides those of every container (`cgroups.devices`)."""

    @property
    def memory_and_swap_bytes(self) -> int:
        """Memory plus swap with Docker's default applied: -1 is unlimited, 0 means no limit."""
        if not self.memory_bytes:
            return 0
        return self.memory_swap_bytes or 2 * self.memory_bytes


def check(limits: Limits, online_cpus: str, online_mems: str = "0") -> None:
    """Refuse limits that no kernel could enforce.

    `online_cpus` and `online_mems` have the form of /sys/devices/system/cpu/online, node/online.

    Raises InvalidParameterError, with Docker's own words if Docker has some.
    """
    _check_cpu(limits, online_cpus)
    _check_quota(limits)
    _check_list("cpus", "CPUs", limits.cpuset_cpus, online_cpus)
    _check_list("mems", "memory nodes", limits.cpuset_mems, online_mems)
    _check_memory(limits)
    _check_reservation(limits)
    _check_disks(limits)
    if limits.pids > MAXIMUM_PIDS:
        raise InvalidParameterError(f"invalid pids limit {limits.pids}: at most {MAXIMUM_PIDS}")
    for rule in limits.device_rules:
        devices.check(rule)


def parse_cpu_list(text: str) -> set[int]:
    """Return the CPUs in a list such as `0-2,7` (cpuset(7), list format); ValueError."""
    cpus: set[int] = set()
    if len(text) > LIST_CHARACTERS:
        raise ValueError(f"it has more than {LIST_CHARACTERS} characters")
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = _number(first), _number(last if dash else first)
        if high < low:
            raise ValueError(f"the range {part} has the wrong order")
        cpus.update(range(low, high + 1))
    return cpus


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ValueError(f"{text!r} is not a CPU number")
    return int(text)


def _check_cpu(limits: Limits, online_cpus: str) -> None:
    available = parse_cpu_list(online_cpus)
    if limits.cpu_shares < 0:
        raise InvalidParameterError(
            f"invalid CPU shares ({limits.cpu_shares}): value must be a positive integer"
        )
    if limits.nano_cpus and not (
        MINIMUM_NANO_CPUS <= limits.nano_cpus <= len(available) * 1_000_000_000
    ):
        raise InvalidParameterError(
            f"Range of CPUs is from 0.01 to {len(available)}.00,"
            f" as there are only {len(available)} CPUs available"
        )


def _check_quota(limits: Limits) -> None:
    for value, name in ((limits.cpu_period_us, "Period"), (limits.cpu_quota_us, "Quota")):
        if limits.nano_cpus and value:
            raise InvalidParameterError(
                f"Conflicting options: Nano CPUs and CPU {name} cannot both be set"
            )
    low, high = MINIMUM_PERIOD_US, MAXIMUM_PERIOD_US
    if limits.cpu_period_us and not low <= limits.cpu_period_us <= high:
        raise InvalidParameterError(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    if 0 < limits.cpu_quota_us < low:
        raise InvalidParameterError("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    if limits.cpu_quota_us > MAXIMUM_QUOTA_US:
        raise InvalidParameterError(f"CPU cfs quota can not be larger than {MAXIMUM_QUOTA_US} us")


def _check_list(kind: str, what: str, asked: str, online: str) -> None:
    """Check a list of CPUs or memory nodes."""
    if not asked:
        return
    try:
        numbers = parse_cpu_list(asked)
    except ValueError as error:
        raise InvalidParameterError(f"Invalid value {asked} for cpuset {kind}: {error}") from None
    if not numbers <= parse_cpu_list(online):
        raise InvalidParameterError(
            f"Requested {what} are not available - requested {asked}, available: {online.strip()}"
        )


def _check_reservation(limits: Limits) -> None:
    reservation = limits.memory_reservation_bytes
    if reservation < 0 or 0 < reservation < MINIMUM_MEMORY_BYTES:
        raise InvalidParameterError("Minimum memory reservation allowed is 6MB")
    if 0 < limits.memory_bytes < reservation:
        raise InvalidParameterError(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )
    swappiness = limits.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= 100:
        raise InvalidParameterError(
            f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )


def _check_disks(limits: Limits) -> None:
    weights = [limit.value for limit in limits.disks if limit.kind == "weight"]
    for weight in (limits.blkio_weight, *weights):
        if weight and not MINIMUM_WEIGHT <= weight <= MAXIMUM_WEIGHT:
            raise InvalidParameterError("Range of blkio weight is from 10 to 1000")
    for device, kind, value in limits.disks:
        if value < 0 or (kind.endswith("iops") and value > LARGEST_IOPS):
            raise InvalidParameterError(
                f"invalid rate for device {device}: {value}: it must be a positive number"
            )


def _check_memory(limits: Limits) -> None:
    memory, total = limits.memory_bytes, limits.memory_swap_bytes
    if memory < 0 or total < -1:
        raise InvalidParameterError("a memory limit cannot be negative (-1 is for --memory-swap)")
    if 0 < memory < MINIMUM_MEMORY_BYTES:
        raise InvalidParameterError("Minimum memory limit allowed is 6MB")
    if total > 0 and not memory:
        raise InvalidParameterError(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if 0 < total < memory:
        raise InvalidParameterError(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
