"""Which folders an engine without root uses."""

import pytest

from labkit.cgroups import delegation, given
from labkit.cgroups.given import User
from labkit.cgroups.layout import Layout, from_mountinfo
from labkit.errors import InvalidParameterError, NotFoundError
from tests.unit.cgroups import cgroup_samples as samples

UID = 1000
CGROUP = "/sys/fs/cgroup"
UNIT = "/user.slice/user-1000.slice/user@1000.service/app.slice/labkitd.service"


def layout_of(
    mounts: str, own: str, usable: set[str], *, delegated: str = "", parent: str = "labkit"
) -> Layout:
    return from_mountinfo(
        mounts,
        own,
        parent=parent,
        controllers_of=lambda _: "cpu memory pids",
        is_delegated=lambda folder: folder == delegated,
        is_root=lambda folder: folder == CGROUP,
        user=User(UID, usable.__contains__),
    )


def test_v1_uses_the_folder_that_was_given() -> None:
    memory = f"{CGROUP}/memory/labkit.user-1000"
    layout = layout_of(samples.V1_MOUNTS, samples.V1_OWN, {memory})
    assert layout.hierarchies == {"memory": (1, memory)}
    assert set(layout.not_given) == {"cpu", "cpuacct", "cpuset", "freezer", "blkio", "pids"}
    assert layout.mount_points["memory"] == f"{CGROUP}/memory"


def test_v1_uses_its_own_group_where_it_may_write() -> None:
    layout = layout_of(samples.V1_MOUNTS, samples.V1_OWN, {f"{CGROUP}/memory/somewhere"})
    assert layout.hierarchies == {"memory": (1, f"{CGROUP}/memory/somewhere")}


def test_no_v1_devices_even_where_it_may_write() -> None:
    every = {f"{CGROUP}/devices", f"{CGROUP}/devices/labkit.user-1000"}
    layout = layout_of(samples.V1_MOUNTS, samples.V1_OWN, every)
    assert layout.hierarchies == {}
    assert "devices" not in layout.not_given


def test_v2_uses_the_given_folder_only_from_within() -> None:
    folder = f"{CGROUP}/labkit.user-1000"
    outside = layout_of(samples.V2_MOUNTS, samples.V2_SESSION, {folder})
    assert outside.hierarchies == {}
    inside = layout_of(samples.V2_MOUNTS, "0::/labkit.user-1000/session\n", {folder})
    assert set(inside.hierarchies.values()) == {(2, folder)}
    assert set(inside.hierarchies) == {"freezer", "cpu", "memory", "pids"}


@pytest.mark.parametrize("below", ["/daemon", ""], ids=["in a leaf", "in the unit's group"])
def test_v2_uses_what_systemd_gave_to_the_users_unit(below: str) -> None:
    unit = f"{CGROUP}{UNIT}"
    layout = layout_of(samples.V2_MOUNTS, f"0::{UNIT}{below}\n", {unit}, delegated=unit)
    assert layout.hierarchies["memory"] == (2, unit)
    assert layout.not_given == ()


def test_v2_finds_the_place_of_a_labkitd_that_was_started_again() -> None:
    unit = f"{CGROUP}{UNIT}"
    layout = layout_of(samples.V2_MOUNTS, f"0::{UNIT}/labkitd\n", {unit, f"{unit}/labkitd"})
    assert layout.hierarchies["memory"] == (2, unit)


def test_one_sentence_says_what_is_missing_and_how_to_get_it() -> None:
    layout = layout_of(samples.V1_MOUNTS, samples.V1_OWN, set())
    (warning,) = layout.prepare()
    assert "--memory" in warning
    assert "pause" in warning
    assert f"`sudo labkit delegate {given.user_name(UID)}`" in warning


def test_a_user_may_be_a_number_without_a_name_but_never_root() -> None:
    assert delegation.find_uid("4294967") == 4294967
    for name in ("root", "0", "00"):
        with pytest.raises(InvalidParameterError):
            delegation.find_uid(name)
    for name in ("no-such-user", "", "4294967295", "-1", "../x", "1" * 30):
        with pytest.raises(NotFoundError):
            delegation.find_uid(name)
