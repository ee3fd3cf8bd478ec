"""What the user asked a container to be kept within, and whether that makes sense."""

from typing import NamedTuple

from labkit.cgroups import devices
from labkit.errors import InvalidParameterError

MINIMUM_MEMORY_BYTES = 6 * 1024 * 1024
"""Docker refuses less: no program starts in it, and the message would be hard to understand."""
MINIMUM_NANO_CPUS = 10_000_000
"""0.01 CPU is a quota of 1 ms in a period of 100 ms, the least the kernel takes."""


class Limits(NamedTuple):
    """The limits of one container; 0 or "" where nothing was asked."""

    cpu_shares: int = 0
    """Relative weight under contention; 1024 is what everyone has who asks for nothing."""
    nano_cpus: int = 0
    """CPU time per second, in 10⁻⁹ CPUs: 1_500_000_000 is one and a half."""
    cpuset_cpus: str = ""
    """The CPUs it may run on, as in `0-2,7` (cpuset(7), list format)."""
    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    """Memory *plus* swap; -1 for unlimited swap, 0 for Docker's default, twice the memory."""
    pids: int = 0
    """The most processes and threads at once; 0 or -1 for unlimited."""
    device_rules: tuple[str, ...] = ()
    """What it may do with devices besides what every container may (`cgroups.devices`)."""

    @property
    def memory_and_swap_bytes(self) -> int:
        """Memory plus swap with Docker's default filled in: -1 is unlimited, 0 no limit asked."""
        if not self.memory_bytes:
            return 0
        return self.memory_swap_bytes or 2 * self.memory_bytes


def check(limits: Limits, online_cpus: str) -> None:
    """Refuse limits no kernel could keep; `online_cpus` as in /sys/devices/system/cpu/online.

    Raises InvalidParameterError with Docker's own words where Docker has some.
    """
    _check_cpu(limits, online_cpus)
    _check_memory(limits)
    for rule in limits.device_rules:
        devices.check(rule)


def parse_cpu_list(text: str) -> set[int]:
    """The CPUs in a list such as `0-2,7` (cpuset(7), list format); ValueError if it is none."""
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        low, high = _number(first), _number(last if dash else first)
        if high < low:
            raise ValueError(f"the range {part} runs backwards")
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
    if not limits.cpuset_cpus:
        return
    try:
        asked = parse_cpu_list(limits.cpuset_cpus)
    except ValueError as error:
        raise InvalidParameterError(
            f"Invalid value {limits.cpuset_cpus} for cpuset cpus: {error}"
        ) from None
    if not asked <= available:
        raise InvalidParameterError(
            f"Requested CPUs are not available - requested {limits.cpuset_cpus},"
            f" available: {online_cpus.strip()}"
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
