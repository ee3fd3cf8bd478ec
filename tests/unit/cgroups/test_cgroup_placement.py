"""Each limit becomes the right text in the right file, on v1, on v2 and mixed."""

import pytest

from labkit.cgroups import v1, v2
from labkit.cgroups.limits import DiskLimit, Limits
from labkit.cgroups.placement import (
    NO_DISK_LIMIT,
    NO_DISK_WEIGHT,
    NO_SWAP_LIMIT,
    Hierarchy,
    Placement,
    place,
)
from labkit.cgroups.rules import Machine

MIB = 1024 * 1024
V1 = {name: Hierarchy(1, f"/cg/{name}") for name in v1.CONTROLLERS}
V2 = {name: Hierarchy(2, "/cg") for name in v2.CORE + v2.CONTROLLERS}
MACHINE = Machine(cpus="0-3", mems="0", swap_accounting=True)


def written(placement: Placement) -> dict[str, str]:
    """Every file's last text, without the device list."""
    return {
        file: text
        for group in placement.groups
        for file, text in group.files
        if group.controller != "devices"
    }


EMPTY_CPUSET = {"cpuset.cpus": "0-3", "cpuset.mems": "0"}


@pytest.mark.parametrize(
    ("limits", "on_v1", "on_v2"),
    [
        (Limits(), {}, {}),
        (Limits(cpu_shares=1024), {"cpu.shares": "1024"}, {"cpu.weight": "100"}),
        (Limits(cpu_shares=512), {"cpu.shares": "512"}, {"cpu.weight": "50"}),
        (Limits(cpu_shares=1), {"cpu.shares": "2"}, {"cpu.weight": "1"}),
        (Limits(cpu_shares=10**9), {"cpu.shares": "262144"}, {"cpu.weight": "10000"}),
        (
            Limits(nano_cpus=1_500_000_000),
            {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"},
            {"cpu.max": "150000 100000"},
        ),
        (Limits(cpuset_cpus="0,2"), {"cpuset.cpus": "0,2"}, {"cpuset.cpus": "0,2"}),
        (
            Limits(memory_bytes=200 * MIB),
            {
                "memory.limit_in_bytes": str(200 * MIB),
                "memory.memsw.limit_in_bytes": str(400 * MIB),
            },
            {"memory.max": str(200 * MIB), "memory.swap.max": str(200 * MIB)},
        ),
        (
            Limits(memory_bytes=200 * MIB, memory_swap_bytes=300 * MIB),
            {
                "memory.limit_in_bytes": str(200 * MIB),
                "memory.memsw.limit_in_bytes": str(300 * MIB),
            },
            {"memory.max": str(200 * MIB), "memory.swap.max": str(100 * MIB)},
        ),
        (
            Limits(memory_bytes=200 * MIB, memory_swap_bytes=200 * MIB),
            {
                "memory.limit_in_bytes": str(200 * MIB),
                "memory.memsw.limit_in_bytes": str(200 * MIB),
            },
            {"memory.max": str(200 * MIB), "memory.swap.max": "0"},
        ),
        (
            Limits(memory_bytes=200 * MIB, memory_swap_bytes=-1),
            {"memory.limit_in_bytes": str(200 * MIB), "memory.memsw.limit_in_bytes": "-1"},
            {"memory.max": str(200 * MIB), "memory.swap.max": "max"},
        ),
        (
            Limits(cpu_period_us=50_000, cpu_quota_us=25_000),
            {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "25000"},
            {"cpu.max": "25000 50000"},
        ),
        (
            Limits(cpu_quota_us=20_000),
            {"cpu.cfs_quota_us": "20000"},
            {"cpu.max": "20000 100000"},
        ),
        (
            Limits(cpu_period_us=50_000),
            {"cpu.cfs_period_us": "50000"},
            {"cpu.max": "max 50000"},
        ),
        (Limits(cpuset_mems="0-1"), {"cpuset.mems": "0-1"}, {"cpuset.mems": "0-1"}),
        (
            Limits(memory_reservation_bytes=64 * MIB),
            {"memory.soft_limit_in_bytes": str(64 * MIB)},
            {"memory.low": str(64 * MIB)},
        ),
        (Limits(memory_swappiness=0), {"memory.swappiness": "0"}, {}),
        (Limits(memory_swappiness=-1), {}, {}),
        (Limits(oom_kill_disable=True), {"memory.oom_control": "1"}, {}),
        (Limits(pids=50), {"pids.max": "50"}, {"pids.max": "50"}),
        (Limits(pids=-1), {}, {}),
        (
            Limits(disks=(DiskLimit("7:0", "wbps", 5 * MIB),)),
            {"blkio.throttle.write_bps_device": f"7:0 {5 * MIB}"},
            {"io.max": f"7:0 wbps={5 * MIB}"},
        ),
        (
            Limits(disks=(DiskLimit("7:0", "riops", 10),)),
            {"blkio.throttle.read_iops_device": "7:0 10"},
            {"io.max": "7:0 riops=10"},
        ),
    ],
)
def test_what_a_limit_writes(limits: Limits, on_v1: dict[str, str], on_v2: dict[str, str]) -> None:
    assert written(place(V1, "labkit/id", limits, MACHINE)) == EMPTY_CPUSET | on_v1
    assert written(place(V2, "labkit/id", limits, MACHINE)) == on_v2


def test_v1_writes_memory_before_memory_plus_swap() -> None:
    """The kernel refuses a sum that is smaller than its part."""
    placement = place(V1, "labkit/id", Limits(memory_bytes=200 * MIB), MACHINE)
    memory = next(group for group in placement.groups if group.controller == "memory")
    assert [file for file, _ in memory.files] == [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
    ]


def test_v1_has_a_folder_in_every_hierarchy_and_joins_each() -> None:
    placement = place(V1, "labkit/id", Limits(), MACHINE)
    assert {group.directory for group in placement.groups} == {
        f"/cg/{name}/labkit/id" for name in v1.CONTROLLERS
    }
    assert set(placement.join) == {group.directory for group in placement.groups}
    assert placement.clone_into == ""
    assert placement.oom_counter == ("/cg/memory/labkit/id/memory.oom_control", "oom_kill")


def test_v1_joins_a_hierarchy_of_two_controllers_once() -> None:
    both = {name: Hierarchy(1, "/cg/cpu,cpuacct") for name in ("cpu", "cpuacct")}
    placement = place(both, "labkit/id", Limits(cpu_shares=512), MACHINE)
    assert placement.join == ("/cg/cpu,cpuacct/labkit/id",)
    assert [group.controller for group in placement.groups] == ["cpu", "cpuacct"]


def test_v1_forbids_devices_before_it_allows_some() -> None:
    placement = place(V1, "labkit/id", Limits(), MACHINE)
    devices = next(group for group in placement.groups if group.controller == "devices")
    assert devices.files[0] == ("devices.deny", "a")
    assert ("devices.allow", "c 1:3 rwm") in devices.files
    assert not any("b 8:0" in text for _, text in devices.files)


def test_v2_has_one_folder_to_be_born_in() -> None:
    placement = place(V2, "labkit/id", Limits(), MACHINE)
    assert {group.directory for group in placement.groups} == {"/cg/labkit/id"}
    assert placement.join == ()
    assert placement.clone_into == "/cg/labkit/id"
    assert placement.oom_counter == ("/cg/labkit/id/memory.events", "oom_kill")


def test_hybrid_joins_v1_and_is_born_in_v2() -> None:
    mixed = {**V1, "pids": Hierarchy(2, "/cg/unified"), "freezer": Hierarchy(2, "/cg/unified")}
    placement = place(mixed, "labkit/id", Limits(pids=9, cpu_shares=512), MACHINE)
    assert placement.clone_into == "/cg/unified/labkit/id"
    assert "/cg/unified/labkit/id" not in placement.join
    assert "/cg/cpu/labkit/id" in placement.join
    assert written(placement) == EMPTY_CPUSET | {"cpu.shares": "512", "pids.max": "9"}


ALL = Limits(cpu_shares=512, nano_cpus=10**9, cpuset_cpus="0", memory_bytes=64 * MIB, pids=10)


def test_nothing_to_warn_of_where_all_can_be_had() -> None:
    assert place(V1, "labkit/id", ALL, MACHINE).warnings == ()
    assert place(V2, "labkit/id", ALL, MACHINE).warnings == ()


def test_without_controllers_each_limit_is_a_warning_and_nothing_is_written() -> None:
    placement = place({}, "labkit/id", ALL, MACHINE)
    assert placement.groups == ()
    assert placement.oom_counter == ("", "")
    assert len(placement.warnings) == 5
    assert any("Limitation discarded" in warning for warning in placement.warnings)


def test_without_controllers_who_asks_for_nothing_is_told_nothing() -> None:
    assert place({}, "labkit/id", Limits(), MACHINE).warnings == ()


@pytest.mark.parametrize("hierarchies", [V1, V2])
def test_without_swap_accounting_memory_is_limited_and_swap_a_warning(
    hierarchies: dict[str, Hierarchy],
) -> None:
    machine = MACHINE._replace(swap_accounting=False)
    placement = place(hierarchies, "labkit/id", Limits(memory_bytes=64 * MIB), machine)
    assert placement.warnings == (NO_SWAP_LIMIT,)
    assert not any("sw" in file for file in written(placement))
    assert str(64 * MIB) in written(placement).values()


def test_what_v1_alone_has_is_a_warning_on_v2() -> None:
    limits = Limits(memory_bytes=64 * MIB, memory_swappiness=0, oom_kill_disable=True)
    assert place(V1, "labkit/id", limits, MACHINE).warnings == ()
    swappiness, oom = place(V2, "labkit/id", limits, MACHINE).warnings
    assert "swappiness discarded" in swappiness
    assert "OomKillDisable discarded" in oom
    assert len(place({}, "labkit/id", limits, MACHINE).warnings) == 3


def test_nobody_is_killed_and_nothing_is_limited_is_a_warning() -> None:
    (warning,) = place(V1, "labkit/id", Limits(oom_kill_disable=True), MACHINE).warnings
    assert "OOM killer is disabled" in warning


def test_weights_on_disks() -> None:
    limits = Limits(blkio_weight=600, disks=(DiskLimit("7:0", "weight", 300),))
    for hierarchies, file, expected in (
        (V1, "blkio.bfq.weight", ["600", "7:0 300"]),
        (V1, "blkio.weight", ["600"]),
        (V2, "io.bfq.weight", ["600", "7:0 300"]),
        (V2, "io.weight", ["5960"]),
    ):
        placement = place(hierarchies, "labkit/id", limits, MACHINE._replace(weight_file=file))
        texts = [t for g in placement.groups if g.controller in ("io", "blkio") for _, t in g.files]
        assert (texts, placement.warnings) == (expected, ())
    assert place(V1, "labkit/id", limits, MACHINE).warnings == (NO_DISK_WEIGHT,)
    limits = Limits(disks=(DiskLimit("7:0", "rbps", 300),))
    assert place({}, "labkit/id", limits, MACHINE).warnings == (NO_DISK_LIMIT,)


def test_shares_beyond_the_kernels_scale_are_a_warning() -> None:
    assert place(V1, "labkit/id", Limits(cpu_shares=2), MACHINE).warnings == ()
    assert place(V2, "labkit/id", Limits(cpu_shares=10), MACHINE).warnings == ()
    assert place(V2, "labkit/id", Limits(cpu_shares=102_400), MACHINE).warnings == ()
    (warning,) = place(V1, "labkit/id", Limits(cpu_shares=1), MACHINE).warnings
    assert warning.endswith("from 2 to 262144: 1 is taken as 2.")
    (warning,) = place(V2, "labkit/id", Limits(cpu_shares=262_144), MACHINE).warnings
    assert warning.endswith("from 10 to 102400: 262144 is taken as 102400.")
