"""The resources that a container uses, in Docker's structure, from the files of its cgroups.

The numbers are the kernel's (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst); the names of
the fields are those of the Engine API ("ContainerStats").  `docker stats` computes its columns from
them: the share of CPU time from two samples, and the memory without `inactive_file`, which the
kernel can free when needed.
"""

import os
import time

from labkit.cgroups import Layout, groups
from labkit.dialect.moments import timestamp

Numbers = dict[str, int]
JsonObject = dict[str, object]

_NS_A_SECOND = 1_000_000_000
_TICK_NS = _NS_A_SECOND // os.sysconf("SC_CLK_TCK")
_IO_OPERATIONS = {"rbytes": "read", "wbytes": "write"}
_COUNTERS = ("bytes", "packets", "errors", "dropped")
_UNLIMITED_V1 = 1 << 62
"""v1 shows unlimited memory as the largest number of whole pages."""


def sample(layout: Layout, container_id: str, pid: int = 0) -> JsonObject:
    """The figures of this moment; FileNotFoundError if the container's cgroups are gone.

    `pid` is a process in the container's network, 0 if that is not its own.
    """
    reader = _Reader(layout, container_id)
    return {
        "read": timestamp(time.time_ns()),
        "num_procs": 0,
        "cpu_stats": _cpu(reader),
        "memory_stats": _memory(reader),
        "pids_stats": _pids(reader),
        "blkio_stats": _blkio(reader),
        "networks": _networks(pid) if pid else {},
        "storage_stats": {},
    }


def _networks(pid: int) -> JsonObject:
    """The bytes and packets of each interface (proc_pid_net(5), `dev`)."""
    with open(f"/proc/{pid}/net/dev") as file:
        lines = file.readlines()[2:]
    found: JsonObject = {}
    for line in lines:
        name, _, text = line.partition(":")
        numbers = [int(word) for word in text.split()]
        if name.strip() != "lo":
            directions = (("rx", numbers[:4]), ("tx", numbers[8:12]))
            found[name.strip()] = {
                f"{direction}_{counter}": number
                for direction, counts in directions
                for counter, number in zip(_COUNTERS, counts, strict=True)
            }
    return found


class _Reader:
    """Reads the cgroup files of one container, each from its controller's folder."""

    def __init__(self, layout: Layout, container_id: str) -> None:
        self.layout = layout
        self.container_id = container_id

    def version(self, controller: str) -> int:
        """1 or 2; 0 if this machine has no such controller."""
        hierarchy = self.layout.hierarchies.get(controller)
        return hierarchy.version if hierarchy else 0

    def text(self, controller: str, file: str) -> str:
        return self.layout.read(self.container_id, controller, file)

    def optional(self, controller: str, file: str) -> str:
        """The file's text; empty if the kernel has no such file."""
        try:
            return self.text(controller, file)
        except (FileNotFoundError, KeyError):
            return ""

    def table(self, controller: str, file: str) -> Numbers:
        """A file of `key value` lines."""
        rows = (line.split() for line in self.optional(controller, file).splitlines())
        return {row[0]: int(row[1]) for row in rows if len(row) == 2}

    def number(self, controller: str, file: str, unlimited: int = 0) -> int:
        text = self.optional(controller, file)
        return int(text) if text.lstrip("-").isdigit() else unlimited


def _cpu(reader: _Reader) -> JsonObject:
    usage = _cpu_v1(reader) if reader.version("cpuacct") == 1 else _cpu_v2(reader)
    throttled = reader.table("cpu", "cpu.stat")
    return {
        "cpu_usage": usage,
        "system_cpu_usage": system_cpu_ns(groups.read("/proc/stat")),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": throttled.get("nr_periods", 0),
            "throttled_periods": throttled.get("nr_throttled", 0),
            "throttled_time": throttled.get(
                "throttled_time", 1000 * throttled.get("throttled_usec", 0)
            ),
        },
    }


def _cpu_v1(reader: _Reader) -> JsonObject:
    ticks = reader.table("cpuacct", "cpuacct.stat")
    each = reader.optional("cpuacct", "cpuacct.usage_percpu").split()
    return {
        "total_usage": int(reader.text("cpuacct", "cpuacct.usage")),
        "percpu_usage": [int(word) for word in each],
        "usage_in_kernelmode": ticks.get("system", 0) * _TICK_NS,
        "usage_in_usermode": ticks.get("user", 0) * _TICK_NS,
    }


def _cpu_v2(reader: _Reader) -> JsonObject:
    # Every group of v2 has cpu.stat, even if the controller is not enabled.
    found = reader.table("freezer", "cpu.stat")
    return {
        "total_usage": 1000 * found.get("usage_usec", 0),
        "usage_in_kernelmode": 1000 * found.get("system_usec", 0),
        "usage_in_usermode": 1000 * found.get("user_usec", 0),
    }


def system_cpu_ns(proc_stat: str) -> int:
    """The CPU time of the whole machine so far, idle time included (proc_stat(5))."""
    # user nice system idle iowait irq softirq steal: guest time is in user already.
    return sum(int(word) for word in proc_stat.split("\n", 1)[0].split()[1:9]) * _TICK_NS


def _memory(reader: _Reader) -> JsonObject:
    version = reader.version("memory")
    if not version:
        return {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if version == 1:
        limit = reader.number("memory", "memory.limit_in_bytes")
        return {
            "usage": int(reader.text("memory", "memory.usage_in_bytes")),
            "max_usage": reader.number("memory", "memory.max_usage_in_bytes"),
            "failcnt": reader.number("memory", "memory.failcnt"),
            "limit": machine if limit >= _UNLIMITED_V1 else limit,
            "stats": reader.table("memory", "memory.stat"),
        }
    return {
        "usage": int(reader.text("memory", "memory.current")),
        "limit": reader.number("memory", "memory.max", unlimited=machine),
        "failcnt": reader.table("memory", "memory.events").get("max", 0),
        "stats": reader.table("memory", "memory.stat"),
    }


def _pids(reader: _Reader) -> JsonObject:
    if not reader.version("pids"):
        return {}
    found: JsonObject = {"current": reader.number("pids", "pids.current")}
    limit = reader.number("pids", "pids.max")
    return found | ({"limit": limit} if limit else {})


def _blkio(reader: _Reader) -> JsonObject:
    if reader.version("blkio") == 1:
        files = {
            "io_service_bytes_recursive": "blkio.throttle.io_service_bytes_recursive",
            "io_serviced_recursive": "blkio.throttle.io_serviced_recursive",
        }
        return {
            name: _io_entries_v1(reader.optional("blkio", file)) for name, file in files.items()
        }
    if reader.version("io") == 2:
        return {"io_service_bytes_recursive": _io_entries_v2(reader.optional("io", "io.stat"))}
    return {"io_service_bytes_recursive": None}


def _io_entries_v1(text: str) -> list[JsonObject]:
    """Read lines such as `8:0 Read 4096`."""
    rows = (line.split() for line in text.splitlines())
    return [_io_entry(row[0], row[1].lower(), int(row[2])) for row in rows if len(row) == 3]


def _io_entries_v2(text: str) -> list[JsonObject]:
    """Read lines such as `8:0 rbytes=4096 wbytes=0 rios=1 …`."""
    entries = []
    for line in text.splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        entries += [
            _io_entry(device, operation, int(values[key]))
            for key, operation in _IO_OPERATIONS.items()
            if key in values
        ]
    return entries


def _io_entry(device: str, operation: str, value: int) -> JsonObject:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": operation, "value": value}


EMPTY: JsonObject = {
    "read": "0001-01-01T00:00:00Z",
    "num_procs": 0,
    "cpu_stats": {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    },
    "memory_stats": {},
    "pids_stats": {},
    "blkio_stats": {"io_service_bytes_recursive": None},
    "storage_stats": {},
}
"""The figures of a container that does not run."""
