"""Daemons, shims and spawners die; containers and their exit statuses do not get lost."""

import glob
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from labkit.kernel import processes
from tests.containers import create, read_frames, run, shell, wait_until

pytestmark = pytest.mark.root


def test_the_daemon_dies_and_its_successor_adopts(open_engine, folder):
    engine = open_engine()
    container_id = create(engine, "sh", "-c", "echo one; read x; echo two; exit 6", open_stdin=True)
    engine.start(container_id)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.close()  # as far as the shim can see, the daemon is gone
    engine = open_engine()
    state = engine.get(container_id).state
    assert state.status == "running"
    assert processes.start_time(state.pid)
    ours.sendall(b"\n")
    assert engine.wait(container_id, timeout_s=60).exit_code == 6
    assert b"".join(line.text for line in engine.logs(container_id)) == b"one\ntwo\n"
    assert (1, b"two\n") in read_frames(ours)


def test_it_ends_while_no_daemon_is_there(open_engine):
    engine = open_engine()
    container_id = create(engine, "sh", "-c", "sleep 0.3; echo late; exit 8")
    gone = create(engine, "sh", "-c", "sleep 0.3; exit 9", auto_remove=True)
    engine.start(container_id)
    engine.start(gone)
    engine.close()
    ends = [f"{engine.paths.container_root(one)}/exit.json" for one in (container_id, gone)]
    wait_until(lambda: all(os.path.exists(path) for path in ends))
    engine = open_engine()
    state = engine.get(container_id).state
    assert (state.status, state.exit_code) == ("exited", 8)
    assert [line.text for line in engine.logs(container_id)] == [b"late\n"]
    assert [container.id for container in engine.list()] == [container_id]
    # It was removed when the new daemon started, but its end can still be asked for.
    assert engine.wait(gone, "removed", timeout_s=5).exit_code == 9


def find_shim(engine, container_id):
    with open(f"/proc/{engine.get(container_id).state.pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_a_shim_that_is_killed_takes_its_container_along(engine):
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    pid = engine.get(container_id).state.pid
    os.kill(find_shim(engine, container_id), signal.SIGKILL)
    state = engine.wait(container_id, timeout_s=60)
    assert state.exit_code == 137
    assert "shim was killed" in state.error
    with suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        assert file.read().rpartition(")")[2].split()[0] in "ZX"
    assert engine.layout.leftovers() == []
    engine.start(container_id)
    engine.stop(container_id, timeout_s=0)


def record(engine, container_id):
    return Path(engine.paths.container_root(container_id), "container.json")


def test_a_daemon_that_dies_while_it_records_a_lost_shim_keeps_the_reason(open_engine):
    """The exit status and its reason are one file: there is no moment between them."""
    engine = open_engine()
    container_id = create(engine, "sleep", "60")
    engine.start(container_id)
    running = record(engine, container_id).read_bytes()
    os.kill(find_shim(engine, container_id), signal.SIGKILL)
    engine.wait(container_id, timeout_s=60)
    engine.close()
    record(engine, container_id).write_bytes(running)
    state = open_engine().get(container_id).state
    assert (state.status, state.exit_code) == ("exited", 137)
    assert "shim was killed" in state.error


def test_an_adopted_container_is_known_to_have_run(open_engine):
    """The first daemon died before its record, and shim and second daemon die together."""
    engine = open_engine()
    container_id = create(engine, "sleep", "60")
    created = record(engine, container_id).read_bytes()
    engine.start(container_id)
    shim = find_shim(engine, container_id)
    engine.close()
    record(engine, container_id).write_bytes(created)
    open_engine().close()
    pidfd = os.pidfd_open(shim)
    os.kill(shim, signal.SIGKILL)
    select.select([pidfd], [], [], 60)
    os.close(pidfd)
    state = open_engine().get(container_id).state
    assert (state.status, state.exit_code) == ("exited", 137)
    assert "shim was killed" in state.error


def test_a_record_of_an_earlier_release_without_a_policy_restarts_nothing(open_engine):
    engine = open_engine()
    container_id = create(engine, "true")
    engine.close()
    kept = record(engine, container_id).read_text()
    assert '"Name": "no"' in kept
    record(engine, container_id).write_text(kept.replace('"Name": "no"', '"Name": ""'))
    engine = open_engine()
    engine.start(container_id)
    engine.wait(container_id, timeout_s=60)
    assert engine.get(container_id).state.status == "exited"


@pytest.mark.parametrize("tty", [True, False])
def test_a_client_that_leaves_while_something_is_printed_harms_nobody(engine, tty):
    """The shim hears of both at once: the output, which it cannot send, and the client's end."""
    container_id = create(engine, "sh", "-c", "sleep 0.3; echo late; sleep 60", tty=tty)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    shim = find_shim(engine, container_id)
    os.kill(shim, signal.SIGSTOP)
    wait_until(lambda: "sleep 60" in [row[-1] for row in engine.top(container_id).rows])
    ours.close()
    os.kill(shim, signal.SIGCONT)
    wait_until(lambda: b"late" in [line.text.strip() for line in engine.logs(container_id)])
    assert engine.get(container_id).state.status == "running"
    engine.kill(container_id)


@pytest.mark.parametrize("options", [{}, {"pid_mode": "host"}])
def test_a_shim_that_is_killed_while_no_daemon_is_there(open_engine, options):
    """A process that changes its user is not ended by the kernel with its parent (prctl(2))."""
    engine = open_engine()
    script = "sleep 61 & exec su -s /bin/sh nobody -c 'exec sleep 62'"
    container_id = create(engine, "sh", "-c", script, **options)
    other = create(engine, "sleep", "60")
    engine.start(container_id)
    engine.start(other)
    pid, shim = engine.get(container_id).state.pid, find_shim(engine, container_id)
    wait_until(lambda: os.stat(f"/proc/{pid}").st_uid == 65534)
    wait_until(lambda: engine.layout.usage(container_id).pids == 2)
    groups = glob.glob(f"/sys/fs/cgroup/**/{container_id}/cgroup.procs", recursive=True)
    engine.close()
    os.kill(shim, signal.SIGKILL)
    wait_until(lambda: not processes.start_time(pid), timeout_s=5)
    wait_until(lambda: not any(open(path).read() for path in groups), timeout_s=5)
    engine = open_engine()
    assert engine.get(container_id).state.status == "exited"
    # The others' shims, and the others, are as they were; their keeper ends with the last one.
    assert engine.get(other).state.status == "running"
    engine.kill(other)
    engine.wait(other, timeout_s=10)


def test_a_spawner_that_is_killed_is_replaced(engine):
    os.kill(engine.parts.spawner._process.pid, signal.SIGKILL)
    assert run(engine, "echo", "still")[0] == "still\n"


def test_many_at_once(engine):
    results = []

    def client(number):
        for turn in range(5):
            output, code = shell(engine, f"echo {number}.{turn}; exit {number}")
            results.append((output, code) == (f"{number}.{turn}\n", number))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40
