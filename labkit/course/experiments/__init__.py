"""Experiments are functions: each runs real containers, measures, and returns what it found.

A result holds the raw samples, the summary, what was expected, and knows how to show itself
(`table()`, `plot()`).  The same function serves the chapter, the demo, the exercise and the test.
From a terminal: `python -m labkit.course.experiments cpu_shares --runs 20`.
"""

from labkit.course.experiments.cpu_result import CpuShares, deviation, expected_parts
from labkit.course.experiments.cpu_run import cpu_shares
from labkit.course.experiments.disk_result import DiskRates, DiskWeights
from labkit.course.experiments.disk_run import disk_rates, disk_weights
from labkit.course.experiments.host_view import top
from labkit.course.experiments.memory_result import MemoryToTheLimit
from labkit.course.experiments.memory_run import memory_to_the_limit
from labkit.course.experiments.vm_result import VmAndContainer
from labkit.course.experiments.vm_run import vm_and_container

__all__ = [
    "CpuShares",
    "DiskRates",
    "DiskWeights",
    "MemoryToTheLimit",
    "VmAndContainer",
    "cpu_shares",
    "deviation",
    "disk_rates",
    "disk_weights",
    "expected_parts",
    "memory_to_the_limit",
    "top",
    "vm_and_container",
]
