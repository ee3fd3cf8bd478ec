"""Folders nested more deeply than Python's stack goes, and than a path: no verb hangs for them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.kernel.trails import remove_tree
from tests.deep import nest
from tests.lab import Lab

pytestmark = pytest.mark.root

DEEP = 1500
"""More than Python's stack, less than a path: everything works as ever."""
DEEPER = 3000
"""More than a path can be long: what can be named is named, and all is removed."""
TOO_LONG = "4095"


def container_with(lab: Lab, depth: int, *command: str) -> tuple[str, str]:
    """A container whose /deep has so many folders, and its folder."""
    made = lab.cli("create", "-v", "/data", "busybox", *command, check=True).stdout.strip()
    folder = f"{lab.root}/containers/{made}"
    nest(f"{folder}/upper/deep", depth, content=b"123")
    return made, folder


def removed_soon(lab: Lab, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while os.listdir(f"{lab.root}/removed"):
        assert time.monotonic() < deadline, os.listdir(f"{lab.root}/removed")
        time.sleep(0.05)


@pytest.mark.host_power("root's files")
def test_every_verb_works_for_1500_nested_folders(lab: Lab, tmp_path: Path) -> None:
    made, _ = container_with(lab, DEEP)
    changed = lab.cli("diff", made, check=True).stdout.splitlines()
    assert len(changed) == DEEP + 2
    assert max(changed, key=len) == "A /deep" + "/d" * DEEP + "/file"
    lab.cli("commit", made, "deep:1", check=True)
    ran = lab.cli("run", "--rm", "deep:1", "cat", "deep" + "/d" * DEEP + "/file", check=True)
    assert ran.stdout == "123"
    lab.cli("cp", f"{made}:/deep", str(tmp_path / "out"), check=True)
    lab.cli("export", "-o", str(tmp_path / "export.tar"), made, check=True)
    lab.cli("ps", "-a", "-s", check=True)
    lab.cli("system", "df", "-v", check=True)
    lab.cli("rm", "-v", made, check=True)
    lab.cli("rmi", "deep:1", check=True)
    removed_soon(lab)
    remove_tree(str(tmp_path / "out"))


@pytest.mark.host_power("root's files")
def test_what_is_deeper_than_a_path_is_measured_and_removed(lab: Lab, tmp_path: Path) -> None:
    made, _ = container_with(lab, DEEPER)
    changed = lab.cli("diff", made, check=True).stdout.splitlines()
    assert 2000 < len(changed) < 2100  # "/d" each, as far as a path can name them
    failed = lab.cli("commit", made, "deep:2")
    assert failed.returncode != 0
    assert TOO_LONG in failed.stderr, failed.stderr
    assert lab.cli("export", "-o", str(tmp_path / "cut.tar"), made).returncode != 0
    status, found = lab.api("GET", f"/containers/{made}/json?size=1")
    assert (status, isinstance(found, dict) and found["SizeRw"]) == (200, 3)
    lab.cli("rm", made, check=True)
    removed_soon(lab)


@pytest.mark.host_power("root's files")
def test_a_deep_volume_does_not_keep_others_from_being_removed(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    lab.cli("volume", "create", "deep", check=True)
    nest(f"{lab.root}/volumes/deep/_data/x", DEEPER)
    lab.cli("system", "df", check=True)
    lab.cli("volume", "rm", "deep", check=True)
    lab.cli("volume", "create", "next", check=True)
    lab.cli("volume", "rm", "next", check=True)
    removed_soon(lab)
    log = Path(lab.folder, "labkitd.log").read_text()
    assert "Traceback" not in log, log


@pytest.mark.host_power("root's files")
def test_a_deep_folder_that_a_daemon_left_is_removed_by_the_next(
    make_lab: Callable[[], Lab],
) -> None:
    lab = make_lab()
    lab.kill_daemon()
    nest(f"{lab.root}/removed/left", DEEPER)
    lab.start_daemon()
    removed_soon(lab)


def test_a_layer_with_1900_nested_folders_is_built(lab: Lab, tmp_path: Path) -> None:
    name = "/d" * 1900
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nWORKDIR {name}\nRUN touch file\n")
    built = lab.cli("build", "-t", "deep:3", str(tmp_path))
    assert built.returncode == 0, built.stdout + built.stderr
    ran = lab.cli("run", "--rm", "deep:3", "ls", check=True)
    assert ran.stdout == "file\n"
    lab.cli("rmi", "deep:3", check=True)
