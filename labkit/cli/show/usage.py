"""A container's use of resources, from the engine's measurements, as in Docker's `stats`."""

from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEADINGS = {
    "ID": "CONTAINER ID",
    "Container": "CONTAINER",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
UNKNOWN = "--"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def usage(sample: "dict[str, Any]") -> "dict[str, str]":
    """Return the measured fields, in words."""
    used, limit = memory_bytes(sample), (sample.get("memory_stats") or {}).get("limit") or 0
    networks = (sample.get("networks") or {}).values()
    received = sum(each["rx_bytes"] for each in networks)
    sent = sum(each["tx_bytes"] for each in networks)
    read, written = _block_bytes(sample)
    pids = (sample.get("pids_stats") or {}).get("current") or 0
    return {
        "CPUPerc": f"{cpu_percent(sample):.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "MemPerc": f"{100 * used / limit if limit else 0:.2f}%",
        "NetIO": f"{human_size(received)} / {human_size(sent)}",
        "BlockIO": f"{human_size(read)} / {human_size(written)}",
        "PIDs": str(pids),
    }


def cpu_percent(sample: "dict[str, Any]") -> float:
    """Return the share of a CPU between the last two measurements: 200 is two CPUs all the time."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used_ns = _total(now) - _total(before)
    passed_ns = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    if used_ns <= 0 or passed_ns <= 0 or not before.get("system_cpu_usage"):
        return 0.0
    # The system's time is that of all its CPUs together.
    return 100.0 * used_ns / passed_ns * int(now.get("online_cpus") or 1)


def memory_bytes(sample: "dict[str, Any]") -> int:
    """Return its memory without the cache that the kernel reclaims first (v1 and v2 differ)."""
    memory = sample.get("memory_stats") or {}
    used, more = int(memory.get("usage") or 0), memory.get("stats") or {}
    cache = int(more.get("total_inactive_file", more.get("inactive_file", 0)) or 0)
    return used - cache if cache < used else used


def binary_size(size_bytes: int) -> str:
    """Return the size with four significant digits and a unit of 1024: `1.941GiB`."""
    value, unit = float(size_bytes), _UNITS[0]
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.4g}{unit}"


def _total(cpu: "dict[str, Any]") -> int:
    return int((cpu.get("cpu_usage") or {}).get("total_usage") or 0)


def _block_bytes(sample: "dict[str, Any]") -> tuple[int, int]:
    rows = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    sums = {"read": 0, "write": 0}
    for row in rows:
        operation = row["op"].lower()
        if operation in sums:
            sums[operation] += row["value"]
    return sums["read"], sums["write"]
