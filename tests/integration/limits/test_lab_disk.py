"""The lab disk: made, shown and removed, whatever interrupts it, and never where anything is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from labkit import labdisk
from labkit.cli.main import main
from labkit.errors import ConflictError, InvalidParameterError
from labkit.kernel import loops
from labkit.labdisk import record, scheduler
from labkit.paths import Paths
from tests.lab import PROJECT

pytestmark = pytest.mark.root
MIB = 1 << 20
SMALL = 32 * MIB

STAGES = {
    "_attach": "the file is there",
    "scheduler.choose": "attached",
    "_make_file_system": "BFQ in charge",
    "mounts.mount": "a file system on it",
}
"""What `make` calls, and what it has done by then."""

DIES = """
import os, sys
from labkit.labdisk import disk
from labkit.paths import Paths
place, _, name = {stage!r}.rpartition(".")
setattr(getattr(disk, place) if place else disk, name, lambda *_: os.kill(os.getpid(), 9))
disk.make(Paths({root!r}, {run!r}), {size}, {device!r})
"""


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    """Folders of the test's own, and no disk in them when it ends."""
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("needs a loop device")
    paths = Paths(str(tmp_path / "root"), str(tmp_path / "run"))
    # The kernel gives the number that is free; whoever had it before may have left BFQ there.
    with spare_disk(tmp_path, SMALL) as device:
        scheduler.choose(device, "none")
    os.unlink(tmp_path / "spare")
    yield paths
    labdisk.remove(paths)


@contextmanager
def spare_disk(folder: Path, size_bytes: int = 2 * SMALL) -> Iterator[str]:
    """A disk of the machine, as far as the lab disk knows."""
    file = folder / "spare"
    with open(file, "wb") as image:
        image.truncate(size_bytes)
    fd, device = loops.attach(str(file))
    try:
        yield device
    finally:
        os.close(fd)


def die_at(stage: str, paths: Paths, device: str = "") -> None:
    """Be killed in the middle of making a lab disk."""
    program = DIES.format(stage=stage, root=paths.root, run=paths.run, size=SMALL, device=device)
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False)
    assert done.returncode == -signal.SIGKILL


def assert_nothing_left(paths: Paths, device: str) -> None:
    assert labdisk.find(paths) is None
    assert os.listdir(paths.root) == os.listdir(paths.run) == []
    assert paths.run not in Path("/proc/self/mountinfo").read_text()
    assert loops.backing_file(device) == ""
    assert scheduler.current(device) != "bfq"


def test_made_shown_and_removed(paths, capsys):
    words = ["--root", paths.root, "--run", paths.run, "lab-disk"]
    assert main([*words, "show"]) == 1
    assert "labkit lab-disk make" in capsys.readouterr().err
    assert main([*words, "make", "--size", "32m"]) == 0
    made = labdisk.find(paths)
    assert made is not None
    assert made.device in capsys.readouterr().out
    assert loops.backing_file(made.device) == record.image(paths)
    offered = Path(f"/sys/block/{os.path.basename(made.device)}/queue/scheduler").read_text()
    assert made.has_weights == ("bfq" in offered)
    assert main([*words, "show", "--format", "{{.Device}} {{.Size}} {{.Mountpoint}}"]) == 0
    assert capsys.readouterr().out == f"{made.device} 33.6MB {paths.run}/lab-disk\n"
    # It is a file system that can be written past the cache.
    fd = os.open(f"{made.mount}/file", os.O_WRONLY | os.O_CREAT | os.O_DIRECT)
    os.close(fd)
    # The same again is the same; another one is not.
    assert labdisk.make(paths, SMALL).device == made.device
    with pytest.raises(ConflictError, match="remove it first"):
        labdisk.make(paths, 2 * SMALL)
    assert main([*words, "remove"]) == main([*words, "remove"]) == 0
    assert capsys.readouterr().out == "removed the lab disk\nthere is no lab disk\n"
    assert_nothing_left(paths, made.device)


def test_direct_past_the_hosts_cache(paths):
    disk = labdisk.make(paths, SMALL)
    assert Path(f"/sys/block/{os.path.basename(disk.device)}/loop/dio").read_text() == "1\n"


def test_borrowed_for_an_experiment(paths):
    with labdisk.borrow(paths, SMALL) as disk, labdisk.borrow(paths, SMALL) as again:
        assert again.device == disk.device
        assert os.path.ismount(disk.mount)
    assert_nothing_left(paths, disk.device)
    kept = labdisk.make(paths, SMALL)
    with labdisk.borrow(paths) as disk:
        assert disk.device == kept.device
    assert labdisk.find(paths)


def test_not_removed_under_whoever_uses_it(paths):
    disk = labdisk.make(paths, SMALL)
    with (
        open(f"{disk.mount}/file", "w"),
        pytest.raises(ConflictError, match="a file in it is open"),
    ):
        labdisk.remove(paths)
    sleeper = ["unshare", "--mount", "sh", "-c", "echo; exec sleep 60"]
    with subprocess.Popen(sleeper, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        with pytest.raises(ConflictError, match=f"process {user.pid} has it"):
            labdisk.remove(paths)
        assert labdisk.find(paths) == disk
        user.kill()
    assert labdisk.remove(paths)
    assert_nothing_left(paths, disk.device)


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_make_is_mended(paths, stage):
    die_at(stage, paths)
    assert os.listdir(paths.root) == ["lab-disk"]
    assert labdisk.find(paths) is None
    device = labdisk.make(paths, SMALL).device
    labdisk.remove(paths)
    die_at(stage, paths)
    assert labdisk.remove(paths)
    assert_nothing_left(paths, device)


@pytest.mark.parametrize("stage", ["spare.claim", "scheduler.choose", "mounts.mount"])
def test_a_killed_make_on_a_spare_disk_is_mended(paths, tmp_path, stage):
    with spare_disk(tmp_path) as device:
        die_at(stage, paths, device)
        assert labdisk.make(paths, SMALL, device).device == device
        labdisk.remove(paths)
        die_at(stage, paths, device)
        labdisk.remove(paths)
        with open(device, "rb") as disk:
            assert not any(disk.read(MIB))


def test_a_spare_disk_is_taken_and_given_back(paths, tmp_path):
    with spare_disk(tmp_path) as device:
        before = scheduler.current(device)
        disk = labdisk.make(paths, SMALL, device)
        assert (disk.device, disk.size_bytes) == (device, SMALL)
        assert os.path.ismount(disk.mount)
        with pytest.raises(ConflictError, match="another lab disk"):
            labdisk.make(paths, SMALL, "/dev/loop-other")
        assert labdisk.remove(paths)
        assert scheduler.current(device) == before
        assert labdisk.make(paths, SMALL, device).device == device
        labdisk.remove(paths)


MBR = r"\0\0\0\0\203\0\0\0\1\0\0\0\0\4\0\0" + r"\0" * 48 + r"\125\252"
"""The end of a master boot record: one partition of Linux, sectors 1 to 1024."""
HOLDING = {
    "a file system": (["mkfs.ext4", "-q", "-L", "mine"], 'holds ext4 named "mine"'),
    "swap": (["mkswap"], "holds swap"),
    "a partition table": (
        ["sh", "-c", f"printf '{MBR}' | dd of=$0 bs=1 seek=446 status=none"],
        r"holds a partition table \(dos\)|has partitions",
    ),
    "unknown data": (["sh", "-c", "echo data > $0"], "data of an unknown kind"),
    "unknown data at its end": (
        ["sh", "-c", "echo data | dd of=$0 bs=1M seek=63 status=none"],
        "data of an unknown kind",
    ),
}
"""How it comes to hold something, and what the refusal says."""


@pytest.mark.parametrize("what", HOLDING)
def test_a_disk_that_holds_anything_is_refused_and_stays_whole(paths, tmp_path, what):
    command, message = HOLDING[what]
    with spare_disk(tmp_path) as device:
        subprocess.run([*command, device], check=True, capture_output=True)
        before = (tmp_path / "spare").read_bytes()
        with pytest.raises(ConflictError, match=message):
            labdisk.make(paths, SMALL, device)
        assert (tmp_path / "spare").read_bytes() == before
        assert labdisk.find(paths) is None


def test_a_disk_in_use_is_refused(paths, tmp_path):
    place = tmp_path / "mnt"
    place.mkdir()
    with spare_disk(tmp_path) as device:
        subprocess.run(["mkfs.ext4", "-q", device], check=True, capture_output=True)
        subprocess.run(["mount", device, place], check=True)
        try:
            with pytest.raises(ConflictError, match="it is mounted"):
                labdisk.make(paths, SMALL, device)
        finally:
            subprocess.run(["umount", place], check=True)


def test_what_is_no_whole_disk_is_refused(paths, tmp_path):
    for device, why in (
        ("/dev/nosuch", "no such file"),
        ("/dev/null", "not a block device"),
        (str(tmp_path), "not a block device"),
    ):
        with pytest.raises(InvalidParameterError, match=why):
            labdisk.make(paths, SMALL, device)
    with spare_disk(tmp_path, SMALL) as device, pytest.raises(InvalidParameterError, match="room"):
        labdisk.make(paths, SMALL, device)
    with pytest.raises(InvalidParameterError, match="at least 16 MiB"):
        labdisk.make(paths, 15 * MIB)
