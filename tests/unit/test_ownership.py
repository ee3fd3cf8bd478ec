"""The names of what an engine has on the machine follow from the place of its data root."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import ownership
from labkit.course.page.scratch import prefix, scratch
from labkit.errors import InvalidParameterError
from labkit.kernel.network.links import LONGEST_NAME
from labkit.networks import bridges

PROJECT = Path(__file__).parents[2]
WITHOUT_A_LAB = ("book.py", "boot_record.py")
"""A developer's commands, for which no lab runs."""


@pytest.fixture(autouse=True)
def no_names_given(monkeypatch):
    for name in ("LABKIT_CGROUP_PARENT", "LABKIT_LINK_PREFIX"):
        monkeypatch.delenv(name, raising=False)


def names(root: object) -> tuple[str, str]:
    return ownership.cgroup_parent(str(root)), ownership.link_prefix(str(root))


def test_the_usual_root_has_the_plain_name():
    assert names("/var/lib/labkit") == ("labkit", "labkit")
    assert names("/var/lib/../lib/labkit/") == ("labkit", "labkit")


def test_every_other_root_has_a_name_of_its_own(tmp_path):
    one, two = names(tmp_path / "one"), names(tmp_path / "two")
    assert len({*one, *two, "labkit"}) == 5
    assert names(tmp_path / "one") == one
    parent, prefix = one
    assert parent.startswith("labkit-")
    assert prefix.startswith("lk")
    assert len(prefix) <= ownership.LONGEST_PREFIX < LONGEST_NAME
    assert not any(character.isdigit() for character in prefix), "bridges add a number"


def test_a_folder_for_a_while_has_the_name_of_its_lab(tmp_path, monkeypatch):
    """Two labs on one machine do not remove each other's, and a leak is known for its lab's."""
    found = set()
    for name in ("one", "two"):
        monkeypatch.setenv("LABKIT_ROOT", str(tmp_path / name))
        with scratch("desk") as folder:
            parent = ownership.cgroup_parent(str(tmp_path / name))
            assert os.path.basename(folder).startswith(f"{parent}-desk-")
            found.add(parent)
    assert len(found) == 2
    monkeypatch.delenv("LABKIT_ROOT")
    assert prefix("desk") == "labkit-desk-"


def test_no_part_of_the_course_names_a_folder_for_all_labs():
    texts = [*PROJECT.glob("labkit/course/**/*.py"), *PROJECT.glob("notebooks/**/*.ipynb")]
    fixed = re.compile(r"""(?:mkdtemp|TemporaryDirectory|NamedTemporaryFile)\([^)]*\\?["']labkit""")
    found = [path for path in texts if fixed.search(path.read_text(encoding="utf-8"))]
    assert [path for path in found if path.name not in WITHOUT_A_LAB] == []


def test_a_link_to_the_root_changes_nothing(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "link").symlink_to("root")
    assert names(tmp_path / "link") == names(tmp_path / "root")


@pytest.mark.root
def test_a_bind_mount_of_the_root_changes_nothing(tmp_path):
    root, other = tmp_path / "root", tmp_path / "with space" / "other"
    root.mkdir()
    other.mkdir(parents=True)
    program = "from labkit import ownership as o; import sys; print(*map(o._place, sys.argv[1:]))"
    bind = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    folders = [str(root), str(other)]
    shown = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-c",
            bind,
            "sh",
            *folders,
            sys.executable,
            "-c",
            program,
            *folders,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    one, two = shown.stdout.split()
    assert one == two


def test_the_environment_overrides(monkeypatch):
    monkeypatch.setenv("LABKIT_CGROUP_PARENT", "my-group")
    monkeypatch.setenv("LABKIT_LINK_PREFIX", "mine")
    assert names("/var/lib/labkit") == ("my-group", "mine")
    monkeypatch.setenv("LABKIT_LINK_PREFIX", "x" * (ownership.LONGEST_PREFIX + 1))
    with pytest.raises(InvalidParameterError, match="at most"):
        ownership.link_prefix("/var/lib/labkit")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("labkit0", True),
        ("labkit12", True),
        ("labkitv01abcdef", True),
        ("labkit", False),
        ("labkitv01", False),
        ("labkitx0", False),
        ("lk0", False),
    ],
)
def test_which_links_are_an_engines(name, ours):
    assert bridges.is_of("labkit", name) == ours
