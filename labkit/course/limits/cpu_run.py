"""The experiment of chapter 9: containers with different CPU shares on one CPU, and their parts.

The ratio is exact even on a busy machine, for these reasons:
- All containers are pinned to the same CPU.  On different CPUs they would not have to share.
- They are measured in the same window, which opens when all of them run and the scheduler's
  averages no longer contain the start.  Counting from each container's start would favour the
  first one.  (`sampling` says more about the window's ends.)
- CPU time is read from the cgroup, in which the kernel counts it.  Other work of the machine slows
  all of them alike, so the proportion stays the same.
"""

import os
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from labkit.client import Client
from labkit.course.limits.cpu_files import CpuFiles, CpuMeter
from labkit.course.limits.cpu_result import CpuShares, HostProcess
from labkit.course.limits.sampling import START_TIMEOUT_S, measure, wait_until_busy
from labkit.course.page.crew import BUSY, Crew
from labkit.course.page.lab import connect
from labkit.errors import InvalidParameterError, NotFoundError

LOOK_S = 0.3
INTERVAL_S = 0.25
CEILING_INTERVAL_S = 0.5
"""A quota is for a tenth of a second and is used up at its beginning: short intervals vary much."""


def cpu_shares(
    weights: Sequence[int] = (1024, 512),
    seconds: float = 6.0,
    *,
    ceilings: Sequence[float] = (),
    cpu: int | None = None,
    interval_s: float = 0,
    without: Sequence[str] = (),
    client: Client | None = None,
) -> CpuShares:
    """Run one always-busy container for each weight, all on one CPU, and count their CPU time.

    `seconds` is the length of the measurement; it may become a little longer on a busy machine.
    `weights` are `--cpu-shares`, any number of them, and `ceilings` are `--cpus`, as many, with 0
    for a container without one.  `cpu` is the CPU's number; by default the CPU with the least
    work at the moment.  `without` leaves steps out of the containers' plans: without
    `"cgroup.cpu"` their shares are never written.  The containers are removed at the end in any
    case.
    Raises `LabkitError` if nothing can be measured: no cpu controller, no daemon.
    """
    if not weights:
        raise InvalidParameterError("cpu_shares needs at least one weight, such as (1024, 512)")
    if ceilings and len(ceilings) != len(weights):
        raise InvalidParameterError("cpu_shares needs a ceiling for each weight, or none at all")
    if cpu is None:
        cpu = quietest_cpu()
    interval_s = interval_s or (CEILING_INTERVAL_S if ceilings else INTERVAL_S)
    asked = list(zip(weights, ceilings or [0.0] * len(weights), strict=True))
    lifetime_s = START_TIMEOUT_S * 2 + seconds * 4
    with Crew(client or connect(), "cpu-shares", lifetime_s) as crew:
        groups = [
            CpuFiles.of_process(hire_busy(crew, weight, cpu, without, ceiling))
            for weight, ceiling in asked
        ]
        pin(groups, cpu)
        meters = [CpuMeter(files) for files in groups]
        try:
            wait_until_busy(meters)
            watched = [watch_processes(files) for files in groups]
            samples = measure(meters, seconds, interval_s)
            host = tuple(busiest(processes) for processes in watched)
        finally:
            for meter in meters:
                meter.close()
        return CpuShares(
            weights=tuple(weights),
            cpu=cpu,
            weight_file=os.path.basename(groups[0].weight),
            kernel_weights=tuple(files.read_weight() for files in groups),
            samples=samples,
            host=host,
            ceilings=tuple(ceilings),
        )


def hire_busy(
    crew: Crew, shares: int, cpu: int, without: Sequence[str] = (), ceiling: float = 0
) -> int:
    """Start a busy container with these shares on this CPU; its first process's id on the host.

    `ceiling` is `--cpus`, 0 for none.
    """
    pinned = {"cpuset_cpus": str(cpu)} if len(os.sched_getaffinity(0)) > 1 else {}
    container = crew.hire(
        f"shares-{shares}",
        BUSY,
        cpu_shares=shares,
        nano_cpus=round(ceiling * 1e9),
        without=without,
        **pinned,
    )
    container.reload()
    return int(container.attrs["State"]["Pid"])


def pin(groups: Sequence[CpuFiles], cpu: int) -> None:
    """Make sure that every process of the groups runs only on this CPU.

    The containers were started so.  If the kernel has no cpuset controller for them, this pins
    the processes themselves (sched_setaffinity(2)).
    """
    for files in groups:
        for pid in files.pids():
            if os.sched_getaffinity(pid) != {cpu}:
                os.sched_setaffinity(pid, {cpu})


def quietest_cpu() -> int:
    """The number of the allowed CPU that was idle most in the last moment."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) == 1:
        return next(iter(allowed))
    before = _idle_ticks()
    time.sleep(LOOK_S)
    after = _idle_ticks()
    # Of equally idle CPUs take the last: the first CPU usually serves most interrupts.
    return max(allowed, key=lambda cpu: (after.get(cpu, 0) - before.get(cpu, 0), cpu))


def _idle_ticks() -> dict[int, int]:
    """CPU number → idle ticks, from /proc/stat (proc(5))."""
    with open("/proc/stat", encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("cpu") and line[3].isdigit()]
    return {int(row[0][3:]): int(row[4]) + int(row[5]) for row in rows}


def watch_processes(files: CpuFiles) -> list[psutil.Process]:
    """The processes of the group; the percentages of `busiest` count from this call."""
    processes = [psutil.Process(pid) for pid in files.pids()]
    for process in processes:
        process.cpu_percent()
    return processes


def busiest(processes: Sequence[psutil.Process]) -> HostProcess:
    """The process that got most of a CPU since `watch_processes`, as `top` shows it.

    Raises `NotFoundError` if none is left: the container has ended.
    """
    shown = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            shown.append(HostProcess(process.pid, process.name(), process.cpu_percent()))
    if not shown:
        raise NotFoundError("a container ended while it was being measured")
    return max(shown, key=lambda one: one.percent)
