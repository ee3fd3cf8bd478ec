"""Containers that share namespaces: with the host, with one another; seen from both sides."""

import os
import time
from pathlib import Path

import pytest

from labkit.containers.inside.execs import ExecConfig
from labkit.errors import InvalidParameterError, StartError
from tests.containers import create, run, shell

pytestmark = pytest.mark.root


def inode(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def started(engine, *command, **options):
    container_id = create(engine, *command, **options)
    engine.start(container_id)
    return container_id, engine.get(container_id).state.pid


def lives(pid):
    """Whether a process runs: a zombie waits for whoever is number 1 there, and holds nothing."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


@pytest.mark.parametrize(
    ("field", "kind"),
    [("pid_mode", "pid"), ("ipc_mode", "ipc"), ("uts_mode", "uts"), ("cgroupns_mode", "cgroup")],
)
def test_the_host_s_namespace(engine, field, kind):
    _, pid = started(engine, "sleep", "100", **{field: "host"})
    for each in ("pid", "ipc", "uts", "cgroup", "mnt"):
        assert (inode(pid, each) == inode("self", each)) == (each == kind)


@pytest.mark.parametrize(("field", "kind"), [("pid_mode", "pid"), ("ipc_mode", "ipc")])
def test_another_container_s_namespace(engine, field, kind):
    donor, theirs = started(engine, "sleep", "100", ipc_mode="shareable")
    _, ours = started(engine, "sleep", "100", **{field: f"container:{donor[:12]}"})
    for each in ("pid", "ipc", "uts", "cgroup", "mnt"):
        assert (inode(ours, each) == inode(theirs, each)) == (each == kind)


def test_shared_memory_is_seen_by_those_who_share(engine):
    donor, _ = started(engine, "sleep", "100", ipc_mode="shareable")
    mode = f"container:{donor}"
    assert shell(engine, "echo hello > /dev/shm/x", ipc_mode=mode) == ("", 0)
    assert shell(engine, "cat /dev/shm/x", ipc_mode=mode) == ("hello\n", 0)
    assert shell(engine, "ls /dev/shm") == ("", 0)
    assert shell(engine, "test -e /dev/shm", ipc_mode="none") == ("", 1)


@pytest.mark.parametrize("mode", ["host", "container"])
def test_its_end_ends_all_its_processes_and_no_other(engine, mode):
    donor, donors_pid = started(engine, "sleep", "100")
    mode = f"container:{donor}" if mode == "container" else mode
    ours, pid = started(engine, "sh", "-c", "sleep 4321 & sleep 4321 & wait", pid_mode=mode)
    while len(engine.top(ours).rows) < 3:
        time.sleep(0.01)
    of_ours = [int(row[1]) for row in engine.top(ours).rows]
    assert pid in of_ours
    assert donors_pid not in of_ours
    begin = time.monotonic()
    engine.kill(ours)
    engine.wait(ours, timeout_s=10)
    assert time.monotonic() - begin < 9  # wait would give up after ten
    assert not [each for each in of_ours if lives(each)]
    assert engine.get(donor).state.status == "running"


def test_the_end_of_the_donor_is_the_end_of_its_process_numbers(engine):
    donor, _ = started(engine, "sleep", "100")
    ours, _ = started(engine, "sleep", "100", pid_mode=f"container:{donor}")
    engine.kill(donor)
    assert engine.wait(ours, timeout_s=10).exit_code == 137
    engine.start(donor)
    engine.start(ours)
    assert engine.get(ours).state.status == "running"


@pytest.mark.parametrize("field", ["pid_mode", "ipc_mode"])
def test_what_does_not_run_cannot_be_joined(engine, field):
    donor = create(engine, "true", ipc_mode="shareable")
    ours = create(engine, "true", **{field: f"container:{donor}"})
    with pytest.raises(StartError, match="is not running"):
        engine.start(ours)
    assert engine.get(ours).state.status == "created"


def test_what_cannot_be_created(engine):
    private = create(engine, "true")
    for options, words in (
        ({"pid_mode": "nonsense"}, "invalid PID mode"),
        ({"pid_mode": "container:nobody"}, "No such container"),
        ({"uts_mode": "host", "hostname": "other"}, "hostname and the UTS mode"),
        ({"ipc_mode": f"container:{private}"}, "non-shareable IPC"),
    ):
        with pytest.raises(InvalidParameterError, match=words):
            create(engine, "true", **options)


def test_exec_enters_what_is_shared(engine):
    donor, _ = started(engine, "sleep", "100")
    ours, pid = started(engine, "sleep", "100", pid_mode=f"container:{donor}", uts_mode="host")
    command = ["sh", "-c", "sleep 4321 & echo $! > /pid"]
    made = engine.execs.create(ours, ExecConfig(cmd=command))
    engine.execs.start(made.id, None, b"")
    while not (rows := [row for row in engine.top(ours).rows if "4321" in row[-1]]):
        time.sleep(0.01)
    entered = int(rows[0][1])
    for each in ("pid", "uts", "mnt"):
        assert inode(entered, each) == inode(pid, each)


def test_a_step_left_out_of_a_shared_one(engine):
    donor, _ = started(engine, "sleep", "100")
    output, _ = run(
        engine, "sh", "-c", "echo $$", pid_mode=f"container:{donor}", without=["namespace.pid"]
    )
    assert int(output) > 100
