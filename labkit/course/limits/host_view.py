"""The host's view: containers are processes, so `top` sees them."""

import time

from labkit.client import Client
from labkit.course.figures.table import Table
from labkit.course.limits.cpu_files import NS_PER_S, CpuFiles, CpuMeter
from labkit.course.limits.cpu_run import busiest, watch_processes
from labkit.course.page.lab import connect

HEADINGS = ("PID", "%CPU (top)", "%CPU (cgroup)", "command", "container", "--cpu-shares")


def top(seconds: float = 2.0, *, client: Client | None = None) -> Table:
    """The busiest process of every running container, as the host sees it over `seconds`.

    Two figures stand beside each other: the process's own (what `top` prints, from /proc/PID/stat)
    and the one its cgroup counted; both in percent of one CPU.
    """
    containers = (client or connect()).containers.list()
    groups = [CpuFiles.of_process(int(one.attrs["State"]["Pid"])) for one in containers]
    meters = [CpuMeter(files) for files in groups]
    try:
        watched = [watch_processes(files) for files in groups]
        start_ns = time.monotonic_ns()
        before = [meter.cpu_ns() for meter in meters]
        time.sleep(seconds)
        used_ns = [meter.cpu_ns() - then for meter, then in zip(meters, before, strict=True)]
        window_ns = time.monotonic_ns() - start_ns
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
    return Table(HEADINGS, tuple(rows), f"Over {window_ns / NS_PER_S:.1f} s, in % of one CPU")
