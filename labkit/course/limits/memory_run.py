"""The experiment of chapter 9 about memory: a program that takes more and more, up to its limit.

The program is `tail -c`, which keeps the end of its input in memory.  It gets a mebibyte at a time,
with a short pause after each.  The kernel counts its memory in the container's group, without
other work of the machine.
"""

import os
import time
from contextlib import suppress

from labkit.client import Client
from labkit.course.cgroups.groups import Place, place_of
from labkit.course.limits.kernel_log import KernelLog, killed_for_memory
from labkit.course.limits.memory_result import MIB, MemorySample, MemoryToTheLimit
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import InvalidParameterError, LabkitError

EVERY_S = 0.02
TIMEOUT_S = 90.0
MOST_MIB = 1024
KEEPS = (
    f"(while :; do head -c {MIB} /dev/zero || exit; sleep 0.02; done)"
    " | tail -c {most} > /dev/null; code=$?; sleep 0.5; exit $code"
)
"""After the kill its shell stays for a moment, so that the group's counters can be read."""

USAGE = {1: "memory.usage_in_bytes", 2: "memory.current"}
PEAK = {1: "memory.max_usage_in_bytes", 2: "memory.peak"}
KILLS = {1: "memory.oom_control", 2: "memory.events"}
MEMORY_AND_SWAP, SWAP = "memory.memsw.usage_in_bytes", "memory.swap.current"


def memory_to_the_limit(
    memory_mib: int = 64, swap_mib: int = 32, *, client: Client | None = None
) -> MemoryToTheLimit:
    """Run a program that takes more and more memory under `-m memory_mib` until it is killed.

    `--memory-swap` is the sum of both numbers; on a machine without swap the second has no
    effect.  Raises `LabkitError` if the container is not killed: its memory is not limited here.
    """
    if not 16 <= memory_mib <= memory_mib + swap_mib <= MOST_MIB // 2 or swap_mib < 0:
        raise InvalidParameterError(
            f"memory_to_the_limit takes 16 MiB or more, with swap at most {MOST_MIB // 2}"
        )
    with Crew(client or connect(), "memory", TIMEOUT_S) as crew, KernelLog() as log:
        box = crew.hire_plain(
            "memory",
            ["sh", "-c", KEEPS.format(most=MOST_MIB * MIB)],
            mem_limit=memory_mib * MIB,
            memswap_limit=(memory_mib + swap_mib) * MIB,
        )
        box.reload()
        place = place_of(int(box.attrs["State"]["Pid"]), "memory")
        samples, peak_bytes, kills = _watch(place)
        return MemoryToTheLimit(
            limit_bytes=memory_mib * MIB,
            asked_swap_bytes=swap_mib * MIB,
            swap_limit_bytes=min(swap_mib * MIB, _swap_bytes(place.version)),
            samples=samples,
            peak_bytes=peak_bytes,
            oom_kills=kills,
            exit_code=int(box.wait()["StatusCode"]),
            message=killed_for_memory(log.lines(), box.id),
        )


def _watch(place: Place) -> tuple[tuple[MemorySample, ...], int, int]:
    """The samples, the peak and the number of kills; ends when the group is removed."""
    samples: list[MemorySample] = []
    peak_bytes = killed = 0
    begin = time.monotonic()
    with suppress(OSError):  # the group is removed with its container
        while True:
            held, swapped = used(place)
            samples.append(MemorySample(time.monotonic() - begin, held, swapped))
            peak_bytes = _peak(place, max(peak_bytes, held))
            killed = _kills(place)
            if samples[-1].time_s > TIMEOUT_S:
                raise LabkitError(
                    f"after {TIMEOUT_S:.0f} s the container has {held // MIB} MiB and still runs: "
                    "nothing limits its memory here (see `labkit doctor`)"
                )
            time.sleep(EVERY_S)
    if not samples:
        raise LabkitError("the container ended before its memory could be read: try again")
    return tuple(samples), peak_bytes, killed


def used(place: Place) -> tuple[int, int]:
    """The bytes in memory, and the bytes in swap."""
    used = int(place.read(USAGE[place.version]))
    file = MEMORY_AND_SWAP if place.version == 1 else SWAP
    if not os.path.exists(f"{place.folder}/{file}"):  # the kernel does not count swap
        return used, 0
    counted = int(place.read(file))
    return used, max(0, counted - used) if place.version == 1 else counted


def _peak(place: Place, sampled: int) -> int:
    """The kernel's record of the most memory; version 2 has one since Linux 5.19."""
    file = PEAK[place.version]
    if not os.path.exists(f"{place.folder}/{file}"):
        return sampled
    return int(place.read(file))


def _kills(place: Place) -> int:
    rows = dict(line.split() for line in place.read(KILLS[place.version]).splitlines())
    return int(rows.get("oom_kill", 0))


def _swap_bytes(version: int) -> int:
    """The machine's swap, if the kernel counts it by group; otherwise 0."""
    place = place_of(os.getpid(), "memory")
    counted = os.path.exists(f"{place.folder}/{MEMORY_AND_SWAP}") or version == 2
    with open("/proc/swaps", encoding="utf-8") as file:
        kib = sum(int(line.split()[2]) for line in file.readlines()[1:])
    return kib * 1024 if counted else 0
