"""Finding a container's CPU files in every layout of cgroups, from the kernel's own texts."""

from pathlib import Path

import pytest

from labkit.course.cgroups import groups
from labkit.course.limits import cpu_files
from labkit.course.limits.cpu_files import CpuFiles, CpuMeter
from labkit.errors import NotFoundError

ID = "a" * 64
V2_MOUNTS = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
HYBRID_MOUNTS = (
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def found(of_process: str, mounts: str) -> CpuFiles | None:
    places, mounted = groups.places(of_process), groups.mounted(mounts)
    return cpu_files._version_1(places, mounted) or cpu_files._version_2(places, mounted)


def test_version_2() -> None:
    files = found(f"0::/labkit/{ID}\n", V2_MOUNTS)
    folder = f"/sys/fs/cgroup/labkit/{ID}"
    assert files == CpuFiles(
        2, f"{folder}/cpu.weight", f"{folder}/cpu.stat", f"{folder}/cgroup.procs"
    )


def test_version_2_in_a_delegated_subtree() -> None:
    files = found(f"0::/system.slice/labkitd.service/labkit/{ID}\n", V2_MOUNTS)
    assert files is not None
    assert files.weight == (f"/sys/fs/cgroup/system.slice/labkitd.service/labkit/{ID}/cpu.weight")


def test_version_2_mounted_from_within() -> None:
    """As in a container: the mount shows a subtree, the path starts at the hierarchy's root."""
    mounts = V2_MOUNTS.replace(" / /sys", " /outer /sys")
    files = found(f"0::/outer/labkit/{ID}\n", mounts)
    assert files is not None
    assert files.weight == f"/sys/fs/cgroup/labkit/{ID}/cpu.weight"


def test_version_1_with_both_controllers_in_one_hierarchy() -> None:
    files = found(f"4:memory:/x\n3:cpu,cpuacct:/labkit/{ID}\n0::/\n", V1_MOUNTS)
    folder = f"/sys/fs/cgroup/cpu,cpuacct/labkit/{ID}"
    assert files == CpuFiles(
        1, f"{folder}/cpu.shares", f"{folder}/cpuacct.usage", f"{folder}/cgroup.procs"
    )


def test_hybrid_is_version_1_for_the_cpu() -> None:
    files = found(f"2:cpuacct:/labkit/{ID}\n1:cpu:/labkit/{ID}\n0::/\n", HYBRID_MOUNTS)
    assert files is not None
    assert files.version == 1
    assert files.weight == f"/sys/fs/cgroup/cpu/labkit/{ID}/cpu.shares"
    assert files.usage == f"/sys/fs/cgroup/cpuacct/labkit/{ID}/cpuacct.usage"


def test_the_group_of_everyone_is_refused() -> None:
    """Else pinning "the container's processes" would pin the whole machine."""
    mounted = groups.mounted(HYBRID_MOUNTS)
    files = found("2:cpuacct:/\n1:cpu:/\n", HYBRID_MOUNTS)
    assert files is not None
    assert cpu_files._is_everyone(files, mounted)
    mine = found(f"2:cpuacct:/labkit/{ID}\n1:cpu:/\n", HYBRID_MOUNTS)
    assert mine is not None
    assert not cpu_files._is_everyone(mine, mounted)


def test_a_process_that_is_gone() -> None:
    with pytest.raises(NotFoundError, match="has ended"):
        CpuFiles.of_process(2**22 + 1)


@pytest.mark.parametrize(("version", "written"), [(1, "512"), (2, "50")])
def test_new_shares_are_written_to_the_file(tmp_path: Path, version: int, written: str) -> None:
    weight = tmp_path / "weight"
    weight.write_text("1")
    files = CpuFiles(version, str(weight), "", "")
    assert str(files.write_shares(512)) == written
    assert weight.read_text() == written
    assert files.read_weight() == int(written)


@pytest.mark.parametrize(
    ("version", "text"),
    [(1, "1500000\n"), (2, "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n")],
)
def test_usage_is_read_again_and_again(tmp_path: Path, version: int, text: str) -> None:
    usage = tmp_path / "usage"
    usage.write_text(text)
    meter = CpuMeter(CpuFiles(version, "", str(usage), ""))
    try:
        assert meter.cpu_ns() == 1_500_000
        usage.write_text(text.replace("15", "25"))
        assert meter.cpu_ns() == 2_500_000
    finally:
        meter.close()
