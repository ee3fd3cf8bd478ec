"""Every verb on a disk that is full, and when there is room again."""

import os
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.api import create, run
from tests.lab import Lab

pytestmark = pytest.mark.root

DISK_BYTES = 30 << 20
WORDS = "the disk is full: remove containers, images or volumes"


@pytest.fixture
def lab():
    one = Lab(disk_bytes=DISK_BYTES)
    try:
        one.start_daemon()
        yield one
    finally:
        empty(one)
        one.close()


def fill(lab: Lab) -> None:
    """Leave no byte free: the largest pieces first, then the smallest.

    Again and again, for blocks are given when they reach the disk, and fewer than were set apart.
    """
    deadline = time.monotonic() + 20
    with open(f"{lab.root}/filling", "ab", buffering=0) as file:
        written = 1
        while written or os.statvfs(lab.root).f_bavail:
            assert time.monotonic() < deadline, "something frees it as fast as it is filled"
            written = 0
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        written += file.write(b"x" * size)
            os.fsync(file.fileno())


def empty(lab: Lab) -> None:
    Path(lab.root, "filling").unlink(missing_ok=True)


@contextmanager
def full(lab: Lab):
    fill(lab)
    try:
        yield
    finally:
        empty(lab)


def state(lab: Lab, ref: str) -> dict:
    return lab.api("GET", f"/containers/{ref}/json")[1]["State"]


def wait(lab: Lab, ref: str) -> None:
    assert lab.api("POST", f"/containers/{ref}/wait")[0] == 200


def log_of_daemon(lab: Lab) -> str:
    return Path(lab.folder, "labkitd.log").read_text()


def test_every_verb_that_ends_or_removes_works_with_no_byte_free(lab):
    for name in ("killed", "stopped", "forced"):
        run(lab, "sleep", "1000", name=name, HostConfig={"RestartPolicy": {"Name": "always"}})
    run(lab, "sleep", "1000", name="paused")
    lab.cli("pause", "paused", check=True)
    run(lab, "true", name="ended", Volumes={"/v": {}})
    create(lab, "true", name="made")
    create(lab, "true", name="pruned")
    wait(lab, "ended")
    for name in ("one", "two"):
        lab.cli("volume", "create", name, check=True)
        lab.cli("network", "create", name, check=True)
        lab.cli("tag", "busybox", f"image:{name}", check=True)
    script = "FROM busybox\nRUN echo > /file\n"
    lab.cli("build", "-t", "built", "-", input=script, check=True)
    for words in (
        "kill killed",
        "stop -t 0 stopped",
        "rm -f forced",
        "unpause paused",
        "rm -f paused",
        "rm -v ended",
        "rm made",
        "container prune -f",
        "rmi image:one",
        "rmi built",
        "volume rm one",
        "volume prune -af",
        "network rm one",
        "network prune -f",
        "image prune -f",
        "system prune -af --volumes",
    ):
        fill(lab)
        done = lab.cli(*words.split())
        assert done.returncode == 0, (words, done.stderr)
    assert lab.cli("ps", "-aq").stdout == ""
    assert lab.cli("volume", "ls", "-q").stdout == ""
    assert lab.cli("network", "ls", "--format", "{{.Name}}").stdout.split() == [
        *("bridge", "host", "none")
    ]
    assert "Traceback" not in log_of_daemon(lab)


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_a_start_that_finds_no_room_changes_nothing(lab, network):
    host = {"NetworkMode": network}
    new = create(lab, "sh", "-c", "exit 4", HostConfig=host)
    old = run(lab, "sh", "-c", "exit 4", HostConfig=host)
    wait(lab, old)
    with full(lab):
        for ref, before in ((new, "created"), (old, "exited")):
            fill(lab)
            status, answer = lab.api("POST", f"/containers/{ref}/start")
            assert status == 500
            assert "cannot start the container" in answer["message"]
            assert WORDS in answer["message"]
            assert state(lab, ref)["Status"] == before
            assert state(lab, ref)["Pid"] == 0
            assert lab.api("POST", f"/containers/{ref}/stop")[0] == 304
            assert lab.api("POST", f"/containers/{ref}/kill")[0] == 409
            wait(lab, old)
        run_verb = lab.cli("run", "--rm", "busybox", "true")
        assert run_verb.returncode == 125
        assert WORDS in run_verb.stderr
    for ref in (new, old):
        assert lab.api("POST", f"/containers/{ref}/start")[0] == 204
        wait(lab, ref)
        assert state(lab, ref)["ExitCode"] == 4
    assert "Traceback" not in log_of_daemon(lab)


def test_what_was_stopped_on_a_full_disk_stays_stopped_and_the_daemon_starts(lab):
    always = {"RestartPolicy": {"Name": "unless-stopped"}, "NetworkMode": "none"}
    stopped = [run(lab, "sleep", "1000", HostConfig=always) for _ in range(3)]
    running = run(lab, "sleep", "1000", HostConfig=always)
    with full(lab):
        for ref in stopped:
            assert lab.api("POST", f"/containers/{ref}/stop?t=0")[0] == 204
            fill(lab)
        for end in (lab.stop_daemon, lab.kill_daemon):
            end()
            fill(lab)
            lab.start_daemon()
            assert [state(lab, ref)["Status"] for ref in stopped] == ["exited"] * 3
            assert state(lab, running)["Status"] == "running"
    lab.kill_daemon()
    lab.start_daemon()
    assert [state(lab, ref)["Status"] for ref in stopped] == ["exited"] * 3


def test_the_daemon_says_that_the_disk_is_full(lab):
    lab.stop_daemon()
    for name in os.listdir(f"{lab.root}/reserve"):
        os.unlink(f"{lab.root}/reserve/{name}")
    with full(lab):
        lab.start_daemon()
        assert f"{lab.root}: {WORDS}" in log_of_daemon(lab)
        assert lab.cli("ps").returncode == 0
        assert WORDS in "".join(lab.api("GET", "/info")[1]["Warnings"])


def test_an_exit_status_is_kept_whoever_is_there_to_hear_it(lab):
    command = ("sh", "-c", "read x; exit 7")
    heard, alone = (run(lab, *command, OpenStdin=True) for _ in range(2))
    with full(lab):
        assert lab.api("POST", f"/containers/{heard}/kill?signal=9")[0] == 204
        lab.kill_daemon()
        os.kill(pid_of(lab, alone), 9)
        deadline = time.monotonic() + 10
        while not os.path.exists(f"{lab.root}/containers/{alone}/exit.json"):
            assert time.monotonic() < deadline, "the shim did not write the exit status"
            time.sleep(0.05)
        lab.start_daemon()
        assert [state(lab, ref)["ExitCode"] for ref in (heard, alone)] == [137, 137]
        assert state(lab, alone)["Error"] == ""


def pid_of(lab: Lab, ref: str) -> int:
    """Its first process, with no daemon to ask: by its group."""
    for path in Path("/sys/fs/cgroup").glob(f"**/{lab.cgroup_parent}/{ref}/cgroup.procs"):
        return int(path.read_text().split()[0])
    raise AssertionError(f"{ref} has no group")


def test_a_container_that_prints_goes_on_and_the_log_says_what_is_missing(lab):
    script = "i=0; while true; do i=$((i+1)); echo line $i $(printf %01000d 0); sleep 0.01; done"
    ref = run(lab, "sh", "-c", script)
    with full(lab):
        time.sleep(1.5)
        assert state(lab, ref)["Running"]
        lost = lab.cli("logs", ref).stdout
    deadline = time.monotonic() + 20
    while "lines are missing here: the disk was full" not in (logs := lab.cli("logs", ref)).stderr:
        assert time.monotonic() < deadline, logs.stderr
        time.sleep(0.1)
    assert state(lab, ref)["Running"]
    assert len(lab.cli("logs", ref).stdout) > len(lost)
    numbers = [int(line.split()[1]) for line in logs.stdout.splitlines()]
    missing = [int(line.split()[1]) for line in logs.stderr.splitlines() if "missing" in line]
    assert sum(missing) == numbers[-1] - len(numbers)


def test_verbs_that_write_say_why_they_cannot_and_leave_nothing(lab, tmp_path):
    ref = run(lab, "sleep", "1000", name="one")
    (tmp_path / "file").write_bytes(os.urandom(200_000))
    tar = subprocess.run(["tar", "-c", "file"], cwd=tmp_path, check=True, capture_output=True)
    archive = tmp_path / "file.tar"
    archive.write_bytes(tar.stdout)
    lab.cli("network", "ls", check=True)  # makes the usual one
    before = sorted(os.listdir(f"{lab.root}/containers")), lab.cli("images", "-aq").stdout
    writing = (
        "create busybox",
        "create -v named:/v busybox",
        "create -v /v busybox",
        "run -d busybox sleep 1",
        f"cp {tmp_path}/file one:/file",
        f"import {archive}",
        "volume create new",
        "exec one dd if=/dev/zero of=/big bs=1M count=1",
        "build --no-cache -",
    )
    script = "FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=1\n"
    for words in writing:
        fill(lab)
        done = lab.cli(*words.split(), input=script if words.startswith("build") else "")
        said = done.stdout + done.stderr
        assert done.returncode != 0, words
        assert any(word in said for word in (WORDS, "No space left", "of the disk")), (words, said)
        assert "Errno" not in said, (words, said)
    for words in ("rename one other", "update --restart always other", "tag busybox more"):
        fill(lab)  # these are small enough for what is kept back
        assert lab.cli(*words.split()).returncode == 0, words
    lab.cli("rmi", "more", check=True)
    empty(lab)
    lab.cli("rename", "other", "one", check=True)
    assert state(lab, ref)["Running"]
    assert before == (sorted(os.listdir(f"{lab.root}/containers")), lab.cli("images", "-aq").stdout)
    assert lab.cli("volume", "ls", "-q").stdout == ""
    assert os.listdir(f"{lab.root}/staging") == []
    assert os.listdir(f"{lab.root}/volumes") == []
    for words in (*writing[:5], *writing[6:]):
        done = lab.cli(*words.split(), input=script if words.startswith("build") else "")
        assert done.returncode == 0, (words, done.stderr)
    for name in lab.cli("volume", "ls", "-q").stdout.split():
        lab.cli("rm", "-f", *lab.cli("ps", "-aq").stdout.split())
        lab.cli("volume", "rm", name)
    assert "Traceback" not in log_of_daemon(lab)
