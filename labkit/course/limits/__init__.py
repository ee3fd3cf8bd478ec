"""Chapter 9: CPU shares, memory and disk limits, measured on real containers.

An experiment is a function: it runs containers, measures, and returns a result.  The result has the
samples and the expectation, and can show itself (`table()`, `plot()`).  The chapter, the demo, the
exercise and the test use the same function.
"""

from labkit.course.limits.cpu_result import CpuShares, deviation, expected_parts
from labkit.course.limits.cpu_run import cpu_shares
from labkit.course.limits.disk_limits import DiskLimits, disk_limits
from labkit.course.limits.disk_result import DiskRates, DiskWeights
from labkit.course.limits.disk_run import disk_rates, disk_weights
from labkit.course.limits.host_view import top
from labkit.course.limits.memory_result import MemoryToTheLimit
from labkit.course.limits.memory_run import memory_to_the_limit

__all__ = [
    "CpuShares",
    "DiskLimits",
    "DiskRates",
    "DiskWeights",
    "MemoryToTheLimit",
    "cpu_shares",
    "deviation",
    "disk_limits",
    "disk_rates",
    "disk_weights",
    "expected_parts",
    "memory_to_the_limit",
    "top",
]
