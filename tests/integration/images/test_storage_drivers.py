"""One set of tests over all storage drivers: what a user does gives the same with each."""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.errors import ConflictError, InvalidParameterError
from labkit.snapshots import root as roots
from labkit.snapshots.record import COPIES, DRIVERS, LOOP, OVERLAYFS
from tests import leaks
from tests.lab import Lab

pytestmark = pytest.mark.root

CHANGES = """
echo new > /new; echo more >> /etc/group; rm /bin/vi; rm -r /home; mkdir /home; chmod 700 /home
mkdir -p /d/e; ln -s /new /d/link; ln /new /d/same; mkfifo /d/fifo
"""
DIFF = {
    *("A /d", "A /d/e", "A /d/fifo", "A /d/link", "A /d/same", "A /new"),
    *("C /bin", "C /etc", "C /etc/group", "C /home", "D /bin/vi"),
}


@pytest.fixture(scope="module", params=DRIVERS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    one = Lab(storage=request.param)
    yield one
    one.close()


@pytest.fixture
def changed(lab: Lab) -> Iterator[str]:
    """A container that has changed its files in every way, and has ended."""
    lab.cli("run", "--name", "changed", "busybox", "sh", "-ec", CHANGES, check=True)
    yield "changed"
    lab.remove_containers()


def said(lab: Lab, *arguments: str) -> str:
    return lab.cli(*arguments, check=True).stdout.strip()


def driver_of(lab: Lab) -> str:
    return said(lab, "info", "--format", "{{.Driver}}")


def test_info_names_the_driver(lab: Lab) -> None:
    info = json.loads(said(lab, "info", "--format", "json"))
    facts = dict(info["DriverStatus"])
    assert info["Driver"] in DRIVERS
    assert ("Cost" in facts) == (info["Driver"] != OVERLAYFS)
    assert ("Loop Device" in facts) == (info["Driver"] == LOOP)


def test_a_container_is_told_how_its_root_is_made(lab: Lab) -> None:
    said(lab, "run", "--name", "told", "busybox", "true")
    _, steps = lab.api("GET", "/containers/told/steps")
    why = {step["Step"]: step["Why"] for step in steps}  # type: ignore[attr-defined]
    assert ("storage.copy" in why) == (driver_of(lab) == COPIES)
    assert ("behind a loop device" in why["mount.root"]) == (driver_of(lab) == LOOP)
    assert ("own copy" in why["mount.root"]) == (driver_of(lab) == COPIES)
    lab.remove_containers()


def test_diff(lab: Lab, changed: str) -> None:
    assert set(said(lab, "diff", changed).splitlines()) == DIFF


def test_commit_and_run(lab: Lab, changed: str) -> None:
    said(lab, "commit", changed, "committed")
    look = "cat /new /d/link; ls -d /bin/vi /home /d/[els]*; tail -n 1 /etc/group; stat -c %a /home"
    shown = lab.cli("run", "--rm", "committed", "sh", "-c", look).stdout.split()
    assert shown == ["new", "new", "/d/e", "/d/link", "/d/same", "/home", "more", "700"]
    with tarfile.open(fileobj=io.BytesIO(saved(lab, "committed"))) as image:
        names = layer_names(image)
    assert {"bin/.wh.vi", "new", "d/e", "etc/group"} <= names
    assert "bin/sh" not in names
    said(lab, "rmi", "committed")


def saved(lab: Lab, image: str) -> bytes:
    return subprocess.run(
        lab.argv("save", image), env=lab.env, check=True, capture_output=True
    ).stdout


def layer_names(image: tarfile.TarFile) -> set[str]:
    """The names in an image's topmost layer."""
    manifest = image.extractfile("manifest.json")
    assert manifest
    layer = image.extractfile(json.load(manifest)[0]["Layers"][-1])
    assert layer
    with tarfile.open(fileobj=layer) as members:
        return {name.removeprefix("./").rstrip("/") for name in members.getnames()}


def test_an_image_goes_out_and_comes_back(lab: Lab, changed: str, tmp_path: Path) -> None:
    said(lab, "commit", changed, "wanderer")
    said(lab, "save", "-o", f"{tmp_path}/image.tar", "wanderer")
    said(lab, "rmi", "wanderer")
    said(lab, "load", "-i", f"{tmp_path}/image.tar")
    assert said(lab, "run", "--rm", "wanderer", "cat", "/d/same") == "new"
    assert lab.cli("run", "--rm", "wanderer", "ls", "/bin/vi").returncode == 1
    said(lab, "rmi", "wanderer")


def test_cp_to_and_from_one_that_never_ran(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("given")
    said(lab, "create", "--name", "fresh", "busybox", "cat", "/in")
    assert said(lab, "diff", "fresh") == ""
    said(lab, "cp", f"{tmp_path}/in", "fresh:/in")
    said(lab, "cp", "fresh:/in", f"{tmp_path}/out")
    assert (tmp_path / "out").read_text() == "given"
    assert said(lab, "start", "-a", "fresh") == "given"
    assert said(lab, "diff", "fresh") == "A /in"
    lab.remove_containers()


def test_export_exec_and_sizes(lab: Lab) -> None:
    said(lab, "run", "-d", "--name", "busy", "busybox", "sleep", "600")
    said(lab, "exec", "busy", "sh", "-c", "head -c 5000 /dev/zero > /five; rm /bin/vi")
    status, answer = lab.api("GET", "/containers/busy/json?size=1")
    assert (status, isinstance(answer, dict) and answer["SizeRw"]) == (200, 5000)
    whole = subprocess.run(lab.argv("export", "busy"), env=lab.env, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(whole.stdout)) as archive:
        names = archive.getnames()
    assert "five" in names
    assert "bin/vi" not in names
    assert said(lab, "diff", "busy").splitlines() == ["C /bin", "D /bin/vi", "A /five"]
    lab.remove_containers()


BUILT = """
FROM busybox AS first
RUN echo one > /one && rm /bin/vi && rm -r /root && mkdir /root && touch /root/new
COPY file /deep/er/file
RUN test ! -e /bin/vi && cat /deep/er/file > /seen && rm -r /deep
WORKDIR /new/place
FROM busybox
COPY --from=first /one /root /there/
ADD file /there/
"""


def test_build(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(BUILT)
    (tmp_path / "file").write_text("file\n")
    said(lab, "build", "-q", "-t", "built", str(tmp_path))
    said(lab, "build", "-q", "-t", "first", "--target", "first", str(tmp_path))
    listed = said(lab, "run", "--rm", "built", "ls", "/there").split()
    assert listed == ["file", "new", "one"]
    look = "pwd; cat /one /seen; ls /root; ls -d /deep /bin/vi"
    shown = lab.cli("run", "--rm", "first", "sh", "-c", look)
    assert shown.stdout.split() == ["/new/place", "one", "file", "new"]
    said(lab, "rmi", "built", "first")


def test_a_volume_begins_with_the_images_files(lab: Lab) -> None:
    assert "group" in said(lab, "run", "--rm", "-v", "/etc", "busybox", "ls", "/etc").split()
    said(lab, "volume", "prune", "-f")


def test_read_only(lab: Lab) -> None:
    result = lab.cli("run", "--rm", "--read-only", "busybox", "touch", "/new")
    assert "Read-only file system" in result.stderr


def test_users_of_its_own(lab: Lab) -> None:
    script = "touch /mine; stat -c %u /mine /bin/sh; cat /proc/self/uid_map"
    shown = said(lab, "run", "--rm", "--userns", "private", "busybox", "sh", "-c", script).split()
    assert shown[:3] == ["0", "0", "0"]
    assert shown[3] != "0"


def test_a_container_outlives_the_daemon(lab: Lab) -> None:
    said(lab, "run", "-d", "--name", "lives", "busybox", "sh", "-c", "echo 1 > /kept; sleep 600")
    lab.kill_daemon()
    lab.start_daemon()
    assert said(lab, "exec", "lives", "cat", "/kept") == "1"
    lab.stop_daemon()
    lab.start_daemon()
    assert said(lab, "exec", "lives", "cat", "/kept") == "1"
    lab.remove_containers()


def test_pruning_leaves_nothing(lab: Lab, changed: str) -> None:
    said(lab, "container", "prune", "-f")
    assert os.listdir(f"{lab.root}/containers") == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_full_disk_is_said_and_nothing_breaks(driver: str, tmp_path: Path) -> None:
    """The data root lies on a small disk; the loop driver's own file system is as small."""
    folder = leaks.new_folder()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", folder], check=True)
    try:
        lab = Lab(storage=driver, root=f"{folder}/root")
        fill = "head -c 120m /dev/zero > /big; echo rest > /small; rm /big; echo again > /small"
        result = lab.cli("run", "--rm", "busybox", "sh", "-c", f"{fill}; cat /small")
        assert "No space left on device" in result.stderr
        assert result.stdout == "again\n"
        assert said(lab, "run", "--rm", "busybox", "echo", "hi") == "hi"
        lab.close()
    finally:
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


def test_a_root_stays_with_its_driver(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    with roots.opened(root, "vfs") as storage:
        assert storage.driver == COPIES
    with roots.opened(root) as storage:
        assert storage.driver == COPIES
    with pytest.raises(ConflictError, match=f"made with the storage driver {COPIES}"):
        roots.open_root(root, OVERLAYFS)
    with pytest.raises(InvalidParameterError, match="unknown storage driver zfs"):
        roots.open_root(root, "zfs")


def test_an_older_root_is_overlayfs(tmp_path: Path) -> None:
    (tmp_path / "layers").mkdir()
    with pytest.raises(ConflictError):
        roots.open_root(str(tmp_path), LOOP)
    assert roots.open_root(str(tmp_path)).driver == OVERLAYFS


def test_the_loop_image_is_mounted_once_and_given_back(tmp_path: Path) -> None:
    folder = leaks.new_folder()
    root = f"{folder}/root"
    with roots.opened(root, LOOP), roots.opened(root):
        Path(root, "kept").write_text("kept")
        assert os.path.ismount(root)
        assert len(leaks.loop_devices()) == 1
    assert not os.path.ismount(root)
    Path(root, "daemon.json").write_text("{}")
    image = os.stat(f"{root}/storage.img")
    assert image.st_blocks * 512 < 64 << 20 < image.st_size
    with roots.opened(root):
        assert Path(root, "kept").read_text() == "kept"
        assert Path(root, "daemon.json").exists()
    subprocess.run(["rm", "-r", folder], check=True)
