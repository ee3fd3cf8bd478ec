"""The peers of each generation run here, in rooms of their own, and leave nothing."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from bench.peer import MissingPeerError
from bench.rooms import Room
from bench.systems import every
from tests.oracle import running_oracle

pytestmark = pytest.mark.root
SYSTEMS = every()
VERSIONS = {"12": "20.10.", "13": "26.1."}
"""dockerd's, by the release of Debian."""


@pytest.fixture(params=SYSTEMS, ids=lambda system: system.release)
def room(request):
    made = Room(request.param)
    made.open()
    yield made
    made.close()


def is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_what_is_mounted_in_a_room_is_not_seen_here(room):
    mounted = Path("/proc/self/mountinfo").read_text()
    words = "mount -t tmpfs none /mnt && touch /mnt/inside /run/inside /var/lib/inside"
    room.do(subprocess.run, ["sh", "-c", words], check=True)
    assert room.do(os.listdir, "/mnt") == ["inside"]
    assert Path("/proc/self/mountinfo").read_text() == mounted
    assert not any(os.path.exists(f"{folder}/inside") for folder in ("/mnt", "/run", "/var/lib"))


def test_all_that_runs_in_a_room_ends_with_it():
    for system in SYSTEMS:
        room = Room(system)
        room.open()
        words = "(setsid sleep 1000 & echo $!); exec sleep 1000"
        shell = room.spawn(["sh", "-c", words], stdout=subprocess.PIPE)
        orphan = int(shell.stdout.readline())
        assert room.do(is_there, orphan), "it has this number in the room alone"
        # The two become sleep(1) at their leisure.
        while len(both := pids_with("sleep", "1000")) < 2:
            time.sleep(0.02)
        room.close()
        assert shell.pid in both
        assert not any(map(is_there, both))


def pids_with(*argv: str) -> list[int]:
    line = "\0".join([*argv, ""]).encode()
    mine = os.environ["LABKIT_TEST_RUN"].encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and read(entry / "cmdline") == line
        and b"LABKIT_TEST_RUN=" + mine in read(entry / "environ")
    ]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_folder_of_another_system_is_not_written_to():
    newer = SYSTEMS[0]
    room = Room(newer)
    room.open()
    try:
        done = room.do(subprocess.run, ["touch", "/usr/inside"], capture_output=True, check=False)
    finally:
        room.close()
    if newer.root == "/":
        os.unlink("/usr/inside")
    else:
        assert b"Read-only file system" in done.stderr


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.release)
def test_the_dockerd_of_each_system_runs(system):
    try:
        with running_oracle(system) as oracle:
            ran = oracle.docker("run", "--rm", "--network", "none", "busybox", "echo", "hi")
            assert (ran.returncode, ran.stdout) == (0, b"hi\n"), ran.stderr
            release = next((word for word in VERSIONS if f" {word} " in system.release), "")
            assert oracle.version().startswith(VERSIONS.get(release, ""))
    except MissingPeerError as error:
        pytest.skip(f"needs a dockerd: {error}")
