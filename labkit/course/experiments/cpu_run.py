"""The experiment of chapter 9: containers with different CPU shares on one CPU, and who gets what.

What makes the ratio come out on a busy machine, and why:
- All containers are pinned to the same CPU.  With a CPU each, nobody would have to share.
- They are measured in the same window, which opens only when all of them run and the scheduler's
  own averages have settled.  Counting from each one's start would favour the first.
- CPU time is read from the cgroup, where the kernel counts what it gave.  Whatever else the machine
  does takes from all of them alike, so the proportion stays.
"""

import os
import time
from collections.abc import Sequence

import psutil

from labkit.client import Client
from labkit.course.cpu_files import NS_PER_S, CpuFiles, CpuMeter
from labkit.course.crew import BUSY, Crew
from labkit.course.experiments.cpu_result import CpuShares, HostProcess, Sample
from labkit.course.lab import connect
from labkit.errors import InvalidParameterError, LabkitError

SETTLE_S = 1.0
"""The scheduler's load averages halve every 32 ms (PELT): after a second nothing of the start is
left in them."""
RUNNING_NS = 50_000_000
"""A container that has used this much CPU time is past its start and in its busy loop."""
START_TIMEOUT_S = 90.0
SIMULTANEOUS_NS = 1_000_000
"""A reading of all meters that took longer was interrupted, and is taken again."""
ATTEMPTS = 8
LOOK_S = 0.3


def cpu_shares(
    weights: Sequence[int] = (1024, 512),
    seconds: float = 6.0,
    *,
    cpu: int | None = None,
    interval_s: float = 0.25,
    without: Sequence[str] = (),
    client: Client | None = None,
) -> CpuShares:
    """Run one always-busy container per weight, all on one CPU, and count their CPU time.

    `weights` are `--cpu-shares`, any number of them.  `cpu` is the CPU's number; without it, the
    one with least to do at the moment.  `without` leaves steps out of the containers' plans:
    without `"cgroup.cpu"` their shares are never written.  The containers are removed at the end,
    whatever happens.
    Raises `LabkitError` when there is nothing to measure with: no cpu controller, no daemon.
    """
    if not weights:
        raise InvalidParameterError("cpu_shares needs at least one weight, such as (1024, 512)")
    if cpu is None:
        cpu = quietest_cpu()
    lifetime_s = START_TIMEOUT_S * 2 + seconds * 2
    with Crew(client or connect(), "cpu-shares", lifetime_s) as crew:
        groups = [CpuFiles.of_process(hire_busy(crew, weight, cpu, without)) for weight in weights]
        pin(groups, cpu)
        meters = [CpuMeter(files) for files in groups]
        try:
            wait_until_busy(meters)
            time.sleep(SETTLE_S)
            watched = [busiest(files) for files in groups]
            samples = take_samples(meters, seconds, interval_s)
            host = tuple(_as_top_shows(process) for process in watched)
        finally:
            for meter in meters:
                meter.close()
        return CpuShares(
            weights=tuple(weights),
            cpu=cpu,
            weight_file=os.path.basename(groups[0].weight),
            kernel_weights=tuple(files.read_weight() for files in groups),
            samples=tuple(samples),
            host=host,
        )


def hire_busy(crew: Crew, shares: int, cpu: int, without: Sequence[str] = ()) -> int:
    """Start a busy container with these shares on this CPU; its first process's id on the host."""
    pinned = {"cpuset_cpus": str(cpu)} if len(os.sched_getaffinity(0)) > 1 else {}
    container = crew.hire(f"shares-{shares}", BUSY, cpu_shares=shares, without=without, **pinned)
    container.reload()
    return int(container.attrs["State"]["Pid"])


def pin(groups: Sequence[CpuFiles], cpu: int) -> None:
    """See to it that every process of the groups runs on this CPU alone.

    The containers were started so; where the kernel has no cpuset controller for them, the
    processes themselves are told (sched_setaffinity(2)).
    """
    for files in groups:
        for pid in files.pids():
            if os.sched_getaffinity(pid) != {cpu}:
                os.sched_setaffinity(pid, {cpu})


def wait_until_busy(meters: Sequence[CpuMeter], timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait until every container has got CPU time while all the others were running too."""
    begun = [meter.cpu_ns() for meter in meters]
    deadline = time.monotonic() + timeout_s
    while any(
        meter.cpu_ns() - start < RUNNING_NS for meter, start in zip(meters, begun, strict=True)
    ):
        if time.monotonic() > deadline:
            raise LabkitError(
                f"not all containers were running after {timeout_s:.0f} s: something on this "
                "machine takes the whole CPU; try again, or another `cpu=`"
            )
        time.sleep(0.05)


def take_samples(meters: Sequence[CpuMeter], seconds: float, interval_s: float) -> list[Sample]:
    """Read all meters at once, every `interval_s`, for at least `seconds`."""
    start_ns, first = read_together(meters)
    samples = [Sample(0.0, (0.0,) * len(meters))]
    count = max(1, round(seconds / interval_s))
    for number in range(1, count + 1):
        wait_s = seconds * number / count - (time.monotonic_ns() - start_ns) / NS_PER_S
        if wait_s < -interval_s / 2 and number < count:
            continue  # the machine held us up: leave this one out rather than crowd two together
        time.sleep(max(0.0, wait_s))
        now_ns, values = read_together(meters)
        used = tuple((now - then) / NS_PER_S for now, then in zip(values, first, strict=True))
        samples.append(Sample((now_ns - start_ns) / NS_PER_S, used))
    return samples


def read_together(meters: Sequence[CpuMeter]) -> tuple[int, list[int]]:
    """(monotonic time in ns, CPU time in ns of each): the quickest of a few tries at most."""
    best_ns, best = 0, (0, [0])
    for _ in range(ATTEMPTS):
        before = time.monotonic_ns()
        values = [meter.cpu_ns() for meter in meters]
        took_ns = time.monotonic_ns() - before
        if not best_ns or took_ns < best_ns:
            best_ns, best = took_ns, (before + took_ns // 2, values)
        if took_ns <= SIMULTANEOUS_NS:
            break
    return best


def quietest_cpu() -> int:
    """The number of the CPU, among those this process may use, that has been idle most just now."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) == 1:
        return next(iter(allowed))
    before = _idle_ticks()
    time.sleep(LOOK_S)
    after = _idle_ticks()
    # Of equally idle ones the last: the first CPU is the one that serves most interrupts.
    return max(allowed, key=lambda cpu: (after.get(cpu, 0) - before.get(cpu, 0), cpu))


def _idle_ticks() -> dict[int, int]:
    """CPU number → ticks spent idle, from /proc/stat (proc(5))."""
    with open("/proc/stat", encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("cpu") and line[3].isdigit()]
    return {int(row[0][3:]): int(row[4]) + int(row[5]) for row in rows}


def busiest(files: CpuFiles) -> psutil.Process:
    """The process of the group that has used most CPU time; its percentage counts from here."""
    processes = [psutil.Process(pid) for pid in files.pids()]
    process = max(processes, key=lambda one: sum(one.cpu_times()[:2]))
    process.cpu_percent()
    return process


def _as_top_shows(process: psutil.Process) -> HostProcess:
    return HostProcess(process.pid, process.name(), process.cpu_percent())
