"""The host's view: containers are processes, so `top` sees them."""

import os
import time
from collections.abc import Sequence

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures.table import Table
from labkit.course.limits.cpu_files import NS_PER_S, CpuFiles, CpuMeter
from labkit.course.limits.cpu_result import busy_words
from labkit.course.limits.cpu_run import busiest, watch_processes
from labkit.course.page.lab import connect

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
HEADINGS = ("PID", "%CPU (top)", "%CPU (cgroup)", "command", "container", "--cpu-shares")


def top(seconds: float = 2.0, *, client: Client | None = None) -> Table:
    """The busiest process of every running container, as the host sees it over `seconds`.

    Each row has two figures, both in percent of one CPU: the process's own (as in `top`, from
    /proc/PID/stat) and the one that its cgroup counted.  If other work took much of a CPU that
    containers are pinned to, the table says so.
    """
    containers = (client or connect()).containers.list()
    groups = [CpuFiles.of_process(int(one.attrs["State"]["Pid"])) for one in containers]
    meters = [CpuMeter(files) for files in groups]
    try:
        watched = [watch_processes(files) for files in groups]
        ticks = busy_ticks()
        start_ns = time.monotonic_ns()
        before = [meter.cpu_ns() for meter in meters]
        time.sleep(seconds)
        used_ns = [meter.cpu_ns() - then for meter, then in zip(meters, before, strict=True)]
        window_ns = time.monotonic_ns() - start_ns
        busy_s = {cpu: (now - ticks[cpu]) / TICKS_PER_S for cpu, now in busy_ticks().items()}
        rows = [
            (
                str(process.pid),
                f"{process.percent:.1f}",
                f"{100 * used / window_ns:.1f}",
                process.command,
                container.name,
                str(container.attrs["HostConfig"]["CpuShares"] or "1024 (default)"),
            )
            for process, used, container in zip(
                map(busiest, watched), used_ns, containers, strict=True
            )
        ]
    finally:
        for meter in meters:
            meter.close()
    rows.sort(key=lambda row: -float(row[1]))
    used_s = [used / NS_PER_S for used in used_ns]
    remarks = _remarks(containers, used_s, busy_s, window_ns / NS_PER_S)
    caption = ". ".join([f"Over {window_ns / NS_PER_S:.1f} s, in % of one CPU", *remarks])
    return Table(HEADINGS, tuple(rows), caption)


def busy_ticks() -> dict[int, int]:
    """CPU number → ticks in which it was busy or taken by another machine (steal), from proc(5)."""
    with open("/proc/stat", encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("cpu") and line[3].isdigit()]
    return {int(row[0][3:]): sum(map(int, row[1:4])) + sum(map(int, row[6:9])) for row in rows}


def _remarks(
    containers: Sequence[Container],
    used_s: Sequence[float],
    busy_s: dict[int, float],
    window_s: float,
) -> list[str]:
    """A warning for each CPU that containers are pinned to and that had much other work."""
    own_s: dict[int, float] = {}
    for container, one_s in zip(containers, used_s, strict=True):
        cpus = container.attrs["HostConfig"]["CpusetCpus"]
        if cpus.isdigit():
            own_s[int(cpus)] = own_s.get(int(cpus), 0.0) + one_s
    said = (busy_words((busy_s.get(cpu, 0.0) - own) / window_s, cpu) for cpu, own in own_s.items())
    return [words for words in said if words]
