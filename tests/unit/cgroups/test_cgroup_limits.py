"""Limits that make no sense are refused in Docker's words."""

import pytest

from labkit.cgroups.limits import Limits, check, parse_cpu_list
from labkit.errors import InvalidParameterError

MIB = 1024 * 1024


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        Limits(cpu_shares=1),
        Limits(nano_cpus=10_000_000),
        Limits(nano_cpus=2_000_000_000),
        Limits(cpuset_cpus="0-1"),
        Limits(memory_bytes=6 * MIB),
        Limits(memory_bytes=200 * MIB, memory_swap_bytes=200 * MIB),
        Limits(memory_bytes=200 * MIB, memory_swap_bytes=-1),
        Limits(memory_swap_bytes=-1),
        Limits(pids=-1),
        Limits(cpu_period_us=1000, cpu_quota_us=1000),
        Limits(cpu_quota_us=-1),
        Limits(cpuset_mems="0"),
        Limits(memory_bytes=9 * MIB, memory_reservation_bytes=9 * MIB),
        Limits(memory_swappiness=100),
        Limits(memory_swappiness=-1),
    ],
)
def test_accepted(limits: Limits) -> None:
    check(limits, "0-1\n")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(cpu_shares=-1), "CPU shares"),
        (Limits(nano_cpus=2_000_000_001), "Range of CPUs is from 0.01 to 2.00"),
        (Limits(nano_cpus=9_999_999), "Range of CPUs"),
        (Limits(nano_cpus=-1), "Range of CPUs"),
        (Limits(cpuset_cpus="2"), "not available - requested 2, available: 0-1"),
        (Limits(cpuset_cpus="0-7"), "not available"),
        (Limits(cpuset_cpus="one"), "Invalid value one for cpuset cpus"),
        (Limits(cpuset_cpus="1-0"), "Invalid value 1-0"),
        (Limits(cpuset_cpus="0,"), "Invalid value 0,"),
        (Limits(nano_cpus=10**9, cpu_quota_us=5000), "Nano CPUs and CPU Quota"),
        (Limits(nano_cpus=10**9, cpu_period_us=5000), "Nano CPUs and CPU Period"),
        (Limits(cpu_period_us=999), "CPU cfs period"),
        (Limits(cpu_period_us=1_000_001), "CPU cfs period"),
        (Limits(cpu_quota_us=999), "CPU cfs quota"),
        (Limits(cpuset_mems="1"), "memory nodes are not available - requested 1, available: 0"),
        (Limits(cpuset_mems="x"), "Invalid value x for cpuset mems"),
        (Limits(memory_reservation_bytes=1), "Minimum memory reservation allowed is 6MB"),
        (
            Limits(memory_bytes=9 * MIB, memory_reservation_bytes=10 * MIB),
            "less than memory reservation",
        ),
        (Limits(memory_swappiness=101), "Invalid value: 101"),
        (Limits(memory_swappiness=-2), "Invalid value: -2"),
        (Limits(memory_bytes=1), "Minimum memory limit allowed is 6MB"),
        (Limits(memory_bytes=6 * MIB - 1), "6MB"),
        (Limits(memory_bytes=-5), "negative"),
        (Limits(memory_bytes=9 * MIB, memory_swap_bytes=-2), "negative"),
        (Limits(memory_swap_bytes=300 * MIB), "always set the Memory limit"),
        (Limits(memory_bytes=200 * MIB, memory_swap_bytes=199 * MIB), "larger than memory limit"),
    ],
)
def test_refused(limits: Limits, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        check(limits, "0-1\n")


@pytest.mark.parametrize(
    ("text", "cpus"), [("0", {0}), ("0-2,7", {0, 1, 2, 7}), ("3, 1", {1, 3}), ("5-5\n", {5})]
)
def test_cpu_lists(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["", "-1", "0-", "a", "1-2-3", "²", "0-999999"])
def test_what_is_no_cpu_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"CPU number|backwards"):
        parse_cpu_list(text)
