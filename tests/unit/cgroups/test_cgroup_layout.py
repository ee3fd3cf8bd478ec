"""Which hierarchies are found, and where labkit's group goes in them."""

import pytest

from labkit.cgroups.hierarchies import directory_of, parse_mounts
from labkit.cgroups.layout import Layout, from_mountinfo
from tests.unit.cgroups import cgroup_samples as samples

V1_DIRECTORIES = {
    "cpu": "/sys/fs/cgroup/cpu,cpuacct",
    "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
    "cpuset": "/sys/fs/cgroup/cpuset",
    "memory": "/sys/fs/cgroup/memory",
    "devices": "/sys/fs/cgroup/devices",
    "freezer": "/sys/fs/cgroup/freezer",
    "blkio": "/sys/fs/cgroup/blkio",
    "pids": "/sys/fs/cgroup/pids",
}
V2_CONTROLLERS = {"freezer", "devices", "cpu", "cpuset", "memory", "pids", "io"}


def layout_of(
    mounts: str,
    own: str,
    controllers: dict[str, str] | None = None,
    delegated: str = "",
    root: str = "/sys/fs/cgroup",
) -> Layout:
    return from_mountinfo(
        mounts,
        own,
        controllers_of=(controllers or {}).__getitem__,
        is_delegated=lambda directory: directory == delegated,
        is_root=lambda directory: directory == root,
    )


def directories(layout: Layout) -> dict[str, str]:
    return {name: hierarchy.directory for name, hierarchy in layout.hierarchies.items()}


def versions(layout: Layout) -> set[int]:
    return {hierarchy.version for hierarchy in layout.hierarchies.values()}


def test_v1_uses_each_hierarchy_where_it_is_mounted() -> None:
    layout = layout_of(samples.V1_MOUNTS, samples.V1_OWN)
    assert layout.version == "v1"
    assert directories(layout) == V1_DIRECTORIES
    assert versions(layout) == {1}


def test_hybrid_with_an_idle_v2_tree_is_used_as_v1() -> None:
    layout = layout_of(
        samples.HYBRID_MOUNTS, samples.HYBRID_OWN, {"/sys/fs/cgroup/unified": "hugetlb"}
    )
    assert layout.version == "hybrid"
    assert directories(layout) == V1_DIRECTORIES
    assert versions(layout) == {1}


def test_hybrid_takes_from_v2_what_v1_lacks() -> None:
    mounts = "".join(
        line
        for line in samples.HYBRID_MOUNTS.splitlines(keepends=True)
        if "rw,pids" not in line and "rw,blkio" not in line
    )
    layout = layout_of(mounts, samples.HYBRID_OWN, {"/sys/fs/cgroup/unified": "pids hugetlb"})
    assert layout.hierarchies["pids"] == (2, "/sys/fs/cgroup/unified")
    assert layout.hierarchies["memory"] == (1, "/sys/fs/cgroup/memory")
    assert "blkio" not in layout.hierarchies


def test_blkio_of_v1_is_io_of_v2() -> None:
    layout = layout_of(samples.HYBRID_MOUNTS, samples.HYBRID_OWN, {"/sys/fs/cgroup/unified": "io"})
    assert "io" not in layout.hierarchies


def test_v2_without_systemd_is_used_from_the_top() -> None:
    layout = layout_of(
        samples.V2_MOUNTS, samples.V2_OWN, {"/sys/fs/cgroup": samples.ALL_CONTROLLERS}
    )
    assert layout.version == "v2"
    assert directories(layout) == dict.fromkeys(V2_CONTROLLERS, "/sys/fs/cgroup")
    assert versions(layout) == {2}
    assert layout.own_directory == "/sys/fs/cgroup"


def test_v2_with_few_controllers_has_those_and_what_every_group_has() -> None:
    layout = layout_of(samples.V2_MOUNTS, samples.V2_OWN, {"/sys/fs/cgroup": "memory pids"})
    assert layout.hierarchies.keys() == {"freezer", "devices", "memory", "pids"}


UNIT = "/sys/fs/cgroup/system.slice/labkitd.service"


def test_a_daemon_in_a_leaf_of_its_delegated_unit_uses_that_subtree() -> None:
    layout = layout_of(
        samples.V2_MOUNTS,
        "0::/system.slice/labkitd.service/labkitd\n",
        {UNIT: samples.ALL_CONTROLLERS},
        delegated=UNIT,
    )
    assert directories(layout) == dict.fromkeys(V2_CONTROLLERS, UNIT)


def test_a_daemon_directly_in_its_unit_leaves_it_alone_so_that_systemd_can_restart_it() -> None:
    layout = layout_of(
        samples.V2_MOUNTS,
        samples.V2_SERVICE,
        {"/sys/fs/cgroup": samples.ALL_CONTROLLERS},
        delegated=UNIT,
    )
    assert set(directories(layout).values()) == {"/sys/fs/cgroup"}


def test_where_the_top_is_not_ours_a_delegated_unit_is_used_all_the_same() -> None:
    layout = layout_of(
        samples.V2_MOUNTS, samples.V2_SERVICE, {UNIT: "memory pids"}, delegated=UNIT, root=""
    )
    assert directories(layout) == dict.fromkeys(("freezer", "devices", "memory", "pids"), UNIT)


def test_a_user_session_is_not_ours_so_the_top_is_used() -> None:
    layout = layout_of(
        samples.V2_MOUNTS,
        samples.V2_SESSION,
        {"/sys/fs/cgroup": samples.ALL_CONTROLLERS},
        delegated="/sys/fs/cgroup/user.slice",
    )
    assert set(directories(layout).values()) == {"/sys/fs/cgroup"}


def test_no_cgroups_at_all() -> None:
    layout = layout_of("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n", "")
    assert layout.version == "none"
    assert layout.controllers == ()


def test_a_mount_that_hides_another_counts() -> None:
    line = "{id} 22 0:28 {root} /sys/fs/cgroup rw - {kind} x rw\n"
    hidden = line.format(id=31, root="/..", kind="cgroup2") + line.format(
        id=32, root="/", kind="tmpfs"
    )
    assert parse_mounts(hidden) == []
    (mount,) = parse_mounts(hidden + line.format(id=33, root="/", kind="cgroup2"))
    assert mount.root == "/"


def test_a_mount_point_with_a_space() -> None:
    (mount,) = parse_mounts("31 22 0:28 / /my\\040cgroup rw - cgroup2 cgroup2 rw\n")
    assert mount.mount_point == "/my cgroup"


@pytest.mark.parametrize(
    ("root", "group", "expected"),
    [
        ("/", "/", "/cg"),
        ("/", "/a.service", "/cg/a.service"),
        ("/docker/x", "/docker/x", "/cg"),
        ("/docker/x", "/docker/x/y", "/cg/y"),
        ("/docker/x", "/docker/xyz", ""),
        ("/", "/../../outside", ""),
    ],
)
def test_the_folder_of_a_group_under_a_mount(root: str, group: str, expected: str) -> None:
    (mount,) = parse_mounts(f"31 22 0:28 {root} /cg rw - cgroup2 cgroup2 rw\n")
    assert directory_of(mount, group) == expected
