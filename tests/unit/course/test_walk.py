"""Where a container's groups are, from what two files of /proc say."""

from pathlib import Path

import pytest

from labkit.course.cgroups import groups
from labkit.course.cgroups.walk import Home, Walk, find, layout, parts, plot_walk

ID = "c0ffee" + "0" * 58
PLACES = f"4:cpu,cpuacct:/labkit/{ID}\n3:pids:/labkit/{ID}\n2:name=systemd:/\n0::/\n"
MOUNTS = (
    "31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
    "32 30 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)


def test_homes_on_version_1_and_on_version_2() -> None:
    found = find(ID, groups.places(PLACES), groups.mounted(MOUNTS))
    assert found == (
        Home(("cpu", "cpuacct"), 1, "/sys/fs/cgroup/cpu", f"/labkit/{ID}"),
        Home(("pids",), 1, "/sys/fs/cgroup/pids", f"/labkit/{ID}"),
    )
    unified = groups.mounted("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (home,) = find(ID, groups.places(f"0::/labkit/{ID}\n"), unified)
    assert (home.version, home.folder) == (2, f"/sys/fs/cgroup/labkit/{ID}")
    assert find("another", groups.places(PLACES), groups.mounted(MOUNTS)) == ()


def test_what_the_flags_wrote(tmp_path) -> None:
    (tmp_path / ID).mkdir()
    (tmp_path / ID / "pids.max").write_text("50\n")
    walk = Walk(ID, (Home(("pids",), 1, str(tmp_path), f"/{ID}"),))
    assert walk.written("--pids-limit", "--memory").rows == (("--pids-limit", "pids.max", "50"),)
    assert walk.written("--memory").rows == ()


@pytest.mark.parametrize(
    ("version", "files"),
    [(1, {"memory.limit_in_bytes": "1"}), (2, {"memory.max": "1", "memory.swap.max": "2"})],
)
def test_the_files_of_either_version(tmp_path: Path, version: int, files: dict[str, str]) -> None:
    (tmp_path / ID).mkdir()
    for name, value in files.items():
        (tmp_path / ID / name).write_text(f"{value}\n")
    walk = Walk(ID, (Home(("memory",), version, str(tmp_path), f"/{ID}"),))
    table = walk.written("--memory", "--memory-swap")
    assert dict(row[1:] for row in table.rows) == files
    assert table.caption == f"the files of version {version}"


def test_the_picture_has_words() -> None:
    home = Home(("pids",), 1, "/sys/fs/cgroup/pids", f"/labkit/{ID}")
    assert parts(home, ID) == ("/sys/fs/cgroup/pids", "labkit", "c0ffee000000…")
    assert "pids: /sys/fs/cgroup/pids/labkit/c0ffee" in plot_walk(Walk(ID, (home,))).alt


def test_what_a_machine_is_called() -> None:
    one, two, empty = ("1", "/a", "cpu"), ("2", "/b", "cpu"), ("2", "/b", "none")
    assert "unified" in layout([two])
    assert "legacy" in layout([one])
    assert "hybrid" in layout([one, two])
    assert "hybrid" in layout([one, empty])
