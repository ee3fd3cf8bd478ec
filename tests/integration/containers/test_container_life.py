"""The life of real containers, through the engine itself."""

import socket
import threading
import time

import pytest

from labkit.errors import (
    ConflictError,
    InvalidParameterError,
    NotFoundError,
    NotModifiedError,
)
from tests.containers import create, read_frames

pytestmark = pytest.mark.root


def test_names_ids_and_prefixes_mean_one_container(engine):
    container_id = create(engine, "true", name="web")
    for ref in (container_id, container_id[:12], container_id[:4], "web", "/web"):
        assert engine.get(ref).id == container_id
    with pytest.raises(NotFoundError, match="No such container: we"):
        engine.get("we")
    with pytest.raises(NotFoundError):
        engine.get("")


def test_start_stop_start_again(engine):
    container_id = create(engine, "sh", "-c", "echo run >> /runs; cat /runs; exec sleep 60")
    engine.start(container_id)
    with pytest.raises(NotModifiedError):
        engine.start(container_id)
    next(engine.logs(container_id, follow=True))
    engine.stop(container_id, timeout_s=0)
    assert engine.get(container_id).state.exit_code == 137
    with pytest.raises(NotModifiedError):
        engine.stop(container_id)
    engine.start(container_id)
    for _, _ in zip(range(3), engine.logs(container_id, follow=True), strict=False):
        pass
    engine.kill(container_id)
    engine.wait(container_id, timeout_s=60)
    assert [line.text for line in engine.logs(container_id)] == [b"run\n", b"run\n", b"run\n"]


def test_stop_is_sigterm_then_sigkill(engine):
    polite = create(
        engine, "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    )
    stubborn = create(engine, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    for container_id in (polite, stubborn):
        engine.start(container_id)
        next(engine.logs(container_id, follow=True))
    engine.stop(polite, timeout_s=30)
    assert engine.get(polite).state.exit_code == 3
    begin = time.monotonic()
    engine.stop(stubborn, timeout_s=0.3)
    assert engine.get(stubborn).state.exit_code == 137
    assert 0.3 <= time.monotonic() - begin < 10


def test_kill_and_remove_by_the_rules(engine):
    container_id = create(engine, "sleep", "60")
    with pytest.raises(ConflictError, match="is not running"):
        engine.kill(container_id)
    engine.start(container_id)
    with pytest.raises(ConflictError, match="container is running"):
        engine.remove(container_id)
    engine.remove(container_id, force=True)
    with pytest.raises(NotFoundError):
        engine.get(container_id)


def test_auto_remove_and_who_waits_for_it(engine):
    container_id = create(engine, "sh", "-c", "exit 5", auto_remove=True)
    watch = engine.watch(container_id, "removed")
    engine.start(container_id)
    assert watch.wait(timeout_s=60).exit_code == 5
    assert engine.list() == []


def test_wait_conditions(engine):
    container_id = create(engine, "sh", "-c", "exit 4")
    assert engine.wait(container_id).exit_code == 0  # it is not running: at once
    with pytest.raises(TimeoutError):
        engine.wait(container_id, "next-exit", timeout_s=0.1)
    codes = []
    waiter = threading.Thread(
        target=lambda: codes.append(engine.wait(container_id, "next-exit", 60).exit_code)
    )
    waiter.start()
    while waiter.is_alive():  # it may not wait yet when the container ends: then for the next end
        engine.start(container_id)
        engine.wait(container_id, timeout_s=60)
    assert codes == [4]
    with pytest.raises(InvalidParameterError, match="condition"):
        engine.wait(container_id, "nosuch")


def test_attached_before_the_start_misses_nothing(engine):
    script = "echo out; read line; echo err >&2"
    container_id = create(engine, "sh", "-c", script, open_stdin=True)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    assert ours.recv(12, socket.MSG_WAITALL) == b"\1\0\0\0\0\0\0\4out\n"
    ours.sendall(b"on\n")
    assert read_frames(ours) == [(2, b"err\n")]


def test_stdin_of_an_attached_client(engine):
    container_id = create(engine, "cat", open_stdin=True, stdin_once=True)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    ours.sendall(b"through the container")
    ours.shutdown(socket.SHUT_WR)
    assert b"".join(data for _, data in read_frames(ours)) == b"through the container"
    assert engine.wait(container_id, timeout_s=60).exit_code == 0


def test_attach_while_it_runs(engine):
    container_id = create(engine, "sh", "-c", "read line; echo got $line", open_stdin=True)
    engine.start(container_id)
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=True, stdout=True, stderr=True)
    theirs.close()
    ours.sendall(b"it\n")
    assert read_frames(ours) == [(1, b"got it\n")]


def test_much_output_arrives_whole(engine):
    container_id = create(engine, "sh", "-c", "seq 1 200000")
    ours, theirs = socket.socketpair()
    engine.attach(container_id, theirs.fileno(), stdin=False, stdout=True, stderr=True)
    theirs.close()
    engine.start(container_id)
    expected = "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert b"".join(data for _, data in read_frames(ours)) == expected
    assert b"".join(line.text for line in engine.logs(container_id)) == expected
