"""What a daemon leaves that is killed in the middle of something, the next one clears away."""

import glob
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.containers import create, wait_until
from tests.lab import PROJECT

pytestmark = pytest.mark.root

KILLED = """
import os, signal, sys
from labkit.containers import ContainerConfig, Engine, HostConfig
from labkit.containers.given import mounting
from labkit.containers.life import creating, ending
from labkit.containers.records.records import Records
from labkit.paths import Paths

def killed(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

engine = Engine.open(Paths(sys.argv[1], sys.argv[2]))
config = ContainerConfig(image="busybox", cmd=["true"], volumes={"/one": {}, "/two": {}})
"""
CREATIONS = {
    "before its volumes": "Records.begin = killed",
    "after its volumes": "Records.finish = killed",
    "before its record": "Records.save = killed",
}
REMOVALS = {
    "before its volumes": "mounting.release = killed",
    "after its volumes": "Records.delete = killed",
}


def killed_in(folder: str, patch: str, deed: str) -> None:
    """Run an engine that dies at the patched place."""
    program = "\n".join([KILLED, patch, deed])
    done = subprocess.run(
        [sys.executable, "-c", program, f"{folder}/root", f"{folder}/run"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def volumes(engine) -> list[str]:
    return [volume.name for volume in engine.volumes.list()]


@pytest.mark.parametrize("patch", CREATIONS.values(), ids=CREATIONS)
def test_volumes_of_a_creation(open_engine, folder, patch):
    open_engine().close()
    killed_in(folder, patch, "engine.create(config, HostConfig())")
    engine = open_engine()
    assert volumes(engine) == []
    assert engine.list() == []
    assert os.listdir(f"{folder}/root/containers") == []
    wait_until(lambda: os.listdir(f"{folder}/root/removed") == [])


@pytest.mark.parametrize("patch", REMOVALS.values(), ids=REMOVALS)
def test_volumes_of_a_removal_with_volumes(open_engine, folder, patch):
    engine = open_engine()
    kept = create(engine, "true", volumes={"/kept": {}})
    engine.close()
    deed = f"one, _ = engine.create(config, HostConfig())\n{patch}\n"
    killed_in(folder, "", f"{deed}engine.remove(one.id, volumes=True)")
    engine = open_engine()
    assert volumes(engine) == [point.name for point in engine.get(kept).mount_points]
    assert [container.id for container in engine.list()] == [kept]
    wait_until(lambda: os.listdir(f"{folder}/root/removed") == [])
    engine.remove(kept, volumes=True)


def test_a_removal_without_volumes_keeps_them(open_engine, folder):
    open_engine().close()
    deed = "one, _ = engine.create(config, HostConfig())\nRecords.delete = killed\n"
    killed_in(folder, "", f"{deed}engine.remove(one.id)")
    engine = open_engine()
    assert len(volumes(engine)) == 2
    for name in volumes(engine):
        engine.volumes.remove(name)


def test_what_ended_meanwhile_takes_no_volume_that_another_uses(open_engine):
    engine = open_engine()
    gone = create(engine, "sleep", "0.5", auto_remove=True, volumes={"/v": {}})
    used = [point.name for point in engine.get(gone).mount_points]
    # A later one has a smaller id now and then: the order must not matter.
    others = [create(engine, "true", volumes_from=[gone]) for _ in range(6)]
    engine.start(gone)
    ended = f"{engine.paths.container_root(gone)}/exit.json"
    engine.close()
    wait_until(lambda: os.path.exists(ended))
    engine = open_engine()
    assert sorted(container.id for container in engine.list()) == sorted(others)
    assert volumes(engine) == used
    for other in others:
        engine.remove(other, volumes=True)


def secret_files(text: bytes) -> list[str]:
    """The files in memory, or in the folders of labs, that have this content."""
    candidates = [*glob.glob("/dev/shm/*"), *glob.glob("/tmp/lk*/run/*"), *glob.glob("/run/*")]
    found = []
    for path in filter(os.path.isfile, candidates):
        if os.path.getsize(path) == len(text) and Path(path).read_bytes() == text:
            found.append(path)
    return found


def test_a_secret_of_a_build(make_lab, tmp_path):
    lab = make_lab()
    text = os.urandom(16).hex().encode()
    (tmp_path / "secret").write_bytes(text)
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s | rev && echo && sleep 100\n"
    )
    argv = lab.argv("build", "--no-cache", "--secret", f"id=s,src={tmp_path}/secret", str(tmp_path))
    with subprocess.Popen(
        argv, env=lab.env, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as build:
        for line in build.stdout:
            if text[::-1] in line:
                break
        else:
            raise AssertionError("the command did not see the secret")
        assert secret_files(text) == []
        lab.kill_daemon()
        build.wait(30)
    assert secret_files(text) == []
    lab.start_daemon()


def test_a_secret_whose_command_had_not_begun(make_lab):
    lab = make_lab()
    lab.kill_daemon()
    on_disk, in_memory = (
        Path(lab.run, "secret-abc"),
        Path(f"/dev/shm/{lab.cgroup_parent}-secret-abc"),
    )
    for path in (on_disk, in_memory):
        path.write_text("hidden")
    lab.start_daemon()
    deadline = time.monotonic() + 10
    while in_memory.exists() and on_disk.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [path for path in (on_disk, in_memory) if path.exists()]
    assert len(left) == 1, "the one where this machine's secrets are is gone"
    left[0].unlink()
