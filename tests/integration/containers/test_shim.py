"""What clients and containers do at awkward moments harms no container."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from labkit.containers.inside.execs import ExecConfig
from labkit.containers.life import ending
from labkit.containers.records import remover
from labkit.errors import ConflictError
from labkit.kernel import messages
from labkit.runtime.shim import SOCKET_NAME
from tests.containers import create, read_frames, run, wait_until

pytestmark = pytest.mark.root


def shim_of(engine, container_id):
    pid = engine.get(container_id).state.pid
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def state_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def attach(engine, container_id):
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=False, stdout=True, stderr=True)
    theirs.close()
    return ours


def test_an_exec_that_comes_just_as_the_container_ends(engine):
    """Its namespace cannot be entered any more; the exit status is not lost over that."""
    container_id = create(engine, "sh", "-c", "read x; exit 7", open_stdin=True)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    connection = messages.connect(f"{engine.paths.container_run(container_id)}/{SOCKET_NAME}")
    assert messages.receive(connection)
    shim, pid = shim_of(engine, container_id), engine.get(container_id).state.pid
    os.kill(shim, signal.SIGSTOP)
    # Heard of in this order: the request for an exec, then the end.
    messages.send(connection, ("exec", (("Clone", 0, ""), [], [], False, False, [])))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: state_of(pid) == "Z")
    os.kill(shim, signal.SIGCONT)
    state = engine.wait(container_id, timeout_s=20)
    assert (state.exit_code, state.error) == (137, "")
    connection.settimeout(5)
    assert messages.receive(connection) is None
    ours.close()


def test_exec_in_a_container_that_has_just_ended_is_a_conflict(engine):
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    made = engine.execs.create(container_id, ExecConfig(cmd=["true"]))
    engine.kill(container_id)
    with pytest.raises(ConflictError, match="not running"):
        engine.execs.start(made.id, None, b"")


def test_an_exec_that_leaves_somebody_with_its_pipes_holds_up_nobody(engine):
    container_id = create(engine, "sh", "-c", "while sleep 0.1; do echo tick; done")
    engine.start(container_id)
    ours = attach(engine, container_id)
    config = ExecConfig(cmd=["sh", "-c", "sleep 30 &"], attach_stdout=True)
    made = engine.execs.create(container_id, config)
    theirs, end = socket.socketpair()
    engine.execs.start(made.id, end.fileno(), b"")
    end.close()
    longest_s, last = 0.0, time.monotonic()
    while made.exit_code is None:
        assert ours.recv(4096)
        longest_s, last = max(longest_s, time.monotonic() - last), time.monotonic()
    assert made.exit_code == 0
    assert longest_s < 10, "as long as the process that has the pipes sleeps, or near it"
    theirs.close()
    engine.kill(container_id)


def test_what_an_exec_left_behind_can_go_on_writing(engine):
    script = "(sleep 3; echo x; echo x; echo alive > /tmp/alive) & exit 0"
    container_id = create(engine, "sh", "-c", "mkdir -p /tmp; sleep 60")
    engine.start(container_id)
    made = engine.execs.create(container_id, ExecConfig(cmd=["sh", "-c", script]))
    engine.execs.start(made.id, None, b"")
    alive = f"{engine.paths.container_root(container_id)}/upper/tmp/alive"
    deadline = time.monotonic() + 20
    while not os.path.exists(alive):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    engine.kill(container_id)


def test_a_slow_reader_gets_all_though_the_container_has_ended(engine):
    """As a pager does: the container can be started again and removed in the meantime."""
    megabytes = 5
    script = f"head -c {megabytes}000000 /dev/zero | tr '\\0' y"
    container_id = create(engine, "sh", "-c", script)
    ours = attach(engine, container_id)
    engine.start(container_id)
    assert engine.wait(container_id, timeout_s=30).exit_code == 0
    engine.start(container_id)
    engine.wait(container_id, timeout_s=30)
    engine.remove(container_id)
    time.sleep(0.5)
    ours.settimeout(20)
    assert sum(len(text) for _, text in read_frames(ours)) == megabytes * 1_000_000


def test_a_full_disk_ends_no_container(engine):
    container_id = create(engine, "sh", "-c", "echo lost; sleep 0.2; echo lost; exit 5")
    os.symlink("/dev/full", engine.log_path(container_id))
    ours = attach(engine, container_id)
    engine.start(container_id)
    state = engine.wait(container_id, timeout_s=20)
    assert (state.exit_code, state.error) == (5, "")
    assert b"".join(text for _, text in read_frames(ours)) == b"lost\nlost\n"


def test_a_log_that_cannot_be_opened_fails_the_start_and_says_so(engine):
    container_id = create(engine, "sleep", "60")
    os.mkdir(engine.log_path(container_id))
    with pytest.raises(Exception, match="Is a directory"):
        engine.start(container_id)
    os.rmdir(engine.log_path(container_id))
    assert engine.get(container_id).state.status == "created"
    engine.start(container_id)
    engine.kill(container_id)


def test_nonsense_from_a_daemon_harms_no_container(engine, capfd):
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    connection = messages.connect(f"{engine.paths.container_run(container_id)}/{SOCKET_NAME}")
    assert messages.receive(connection)
    for nonsense in (("no such verb",), ("resize", -1, 10**9), ("attach", (1, 2)), ("exec", ())):
        messages.send(connection, nonsense)
    time.sleep(0.3)
    assert engine.get(container_id).state.status == "running"
    assert run(engine, "echo", "hi") == ("hi\n", 0)
    engine.kill(container_id)
    connection.close()


def test_a_long_removal_holds_up_nobody(engine, monkeypatch):
    """The thread that hears of the ends removes what has --rm, and goes on hearing."""
    go_on, delete = threading.Event(), remover.remove_tree
    monkeypatch.setattr(remover, "remove_tree", lambda path: go_on.wait(20) and delete(path))
    container_id = create(engine, "true", auto_remove=True)
    watch = engine.watch(container_id, "removed")
    engine.start(container_id)
    assert watch.wait(timeout_s=10).exit_code == 0
    assert run(engine, "echo", "hi") == ("hi\n", 0)
    (left,) = os.listdir(f"{engine.paths.root}/removed")
    go_on.set()
    deadline = time.monotonic() + 10
    while os.path.exists(f"{engine.paths.root}/removed/{left}"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_a_container_leaves_behind_on_the_host_is_reaped(engine):
    """Without a PID namespace of its own the shim is the parent of its orphans."""
    script = "for n in 1 2 3 4 5; do (sleep 0.2 & sleep 0.1); done; exec sleep 600"
    container_id = create(engine, "sh", "-c", script, pid_mode="host")
    engine.start(container_id)
    first = engine.get(container_id).state.pid
    with open(f"/proc/{first}/stat") as file:
        shim = int(file.read().rsplit(")", 1)[1].split()[1])
    wait_until(lambda: Path(f"/proc/{first}/comm").read_text() == "sleep\n")
    children = Path(f"/proc/{shim}/task/{shim}/children")
    wait_until(lambda: children.read_text().split() == [str(first)], timeout_s=5)
    assert engine.get(container_id).state.status == "running"
    engine.kill(container_id)
    assert engine.wait(container_id, timeout_s=10).exit_code == 137


@pytest.mark.parametrize("verb", ["stop", "remove"])
def test_a_stopped_shim_does_not_keep_its_container(engine, monkeypatch, verb):
    """A privileged container with the host's processes can stop it."""
    monkeypatch.setattr(ending, "KILL_TIMEOUT_S", 0.5)
    container_id = create(engine, "sleep", "600")
    engine.start(container_id)
    os.kill(shim_of(engine, container_id), signal.SIGSTOP)
    if verb == "remove":
        engine.remove(container_id, force=True)
        assert engine.list() == []
    else:
        engine.stop(container_id, timeout_s=0)
        state = engine.get(container_id).state
        assert (state.status, state.exit_code) == ("exited", 137)
        assert state.error == "the container's shim was killed, and the container with it"
