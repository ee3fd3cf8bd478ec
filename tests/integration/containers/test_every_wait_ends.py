"""Clients that wait for a container always get an end: what they wait for, or an error."""

import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from labkit.containers.inside import attaching
from labkit.containers.life import ending, starting
from labkit.errors import NotFoundError
from tests.containers import create

pytestmark = pytest.mark.root

PATIENCE_S = 30


@pytest.fixture
def threads():
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_a_removal_that_fails(engine, threads, monkeypatch, condition):
    """`run --rm` waits for the removal; one that fails is an end, too."""
    container_id = create(engine, "sleep", "1000", auto_remove=True)
    engine.start(container_id)
    watch = engine.watch(container_id, condition)
    waiting = threads.submit(watch.wait, PATIENCE_S)

    def fails(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(engine.parts.records, "move_away", fails)
        engine.kill(container_id)
        assert waiting.result(PATIENCE_S).exit_code == 137
    assert watch.has_failed == (condition == "removed")
    assert engine.get(container_id).state.status == "dead"
    engine.remove(container_id)


def test_a_failure_in_what_follows_the_end(engine, threads, monkeypatch):
    container_id = create(engine, "sleep", "1000")
    engine.start(container_id)
    waiting = threads.submit(engine.wait, container_id, "next-exit", PATIENCE_S)

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(starting, "remove_run_folder", fails)
        engine.kill(container_id)
        assert waiting.result(PATIENCE_S).exit_code == 137
    assert engine.get(container_id).state.status == "exited"
    ending.networking.release(engine.parts, container_id)


@pytest.mark.parametrize("with_log", [False, True])
def test_attach_to_what_was_just_removed(engine, with_log):
    """Between the look-up and the hand-over: a client kept for a start would wait for ever."""
    container_id = create(engine, "true")
    entry = engine.parts.lookup.find(container_id)
    engine.remove(container_id)
    ours, theirs = socket.socketpair()
    announced: list[bool] = []
    with ours, theirs, pytest.raises(NotFoundError, match="No such container"):
        if with_log:
            options = (False, True, True, b"")
            attaching.attach_with_log(entry, "", theirs.fileno(), options, list)
        else:
            options = (False, True, True, b"")
            attaching.attach(entry, theirs.fileno(), options, lambda: announced.append(True))
    assert entry.pending_clients == []
    assert not announced


def test_clients_that_left_before_the_start_are_not_kept(engine):
    container_id = create(engine, "true")
    entry = engine.parts.lookup.find(container_id)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            engine.attach(container_id, theirs.fileno(), stdin=False, stdout=True, stderr=True)
    assert len(entry.pending_clients) == 1
    assert len(os.listdir("/proc/self/fd")) <= before + 1
