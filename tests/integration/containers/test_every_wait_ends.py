"""Clients that wait for a container always get an end: what they wait for, or an error."""

import errno
import os
import select
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labkit.containers.inside import attaching, files
from labkit.containers.life import ending, starting
from labkit.errors import ConflictError, NotFoundError
from tests.containers import create

pytestmark = pytest.mark.root

PATIENCE_S = 30
EMPTY_TAR = bytes(10240)


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


def _dies_before(engine, monkeypatch, container_id, module, name):
    """The container's first process ends each time before that function is called."""
    entry, real = engine.parts.lookup.find(container_id), getattr(module, name)

    def kills_first(*arguments: Any, **options: Any) -> Any:
        if entry.is_running:
            first = os.pidfd_open(entry.container.state.pid)
            signal.pidfd_send_signal(first, signal.SIGKILL)
            assert select.select([first], [], [], PATIENCE_S)[0]
            os.close(first)
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, kills_first)


def test_files_of_a_container_that_ends_now(engine, monkeypatch):
    container_id = create(engine, "sleep", "1000")
    for task in (
        lambda: engine.files.stat(container_id, "/bin/sh").name == "sh",
        lambda: len(b"".join(engine.files.pack(container_id, "/etc/passwd")[1])) > 0,
        lambda: len(b"".join(engine.files.export(container_id))) > 0,
        lambda: engine.files.place(container_id, "/tmp", [EMPTY_TAR]) is None,
    ):
        engine.start(container_id)
        with monkeypatch.context() as patch:
            _dies_before(engine, patch, container_id, files, "_start")
            assert task()
        engine.wait(container_id, timeout_s=PATIENCE_S)


def test_files_of_a_container_that_is_removed_now(engine, monkeypatch):
    container_id = create(engine, "true")
    real = files._start

    def removes_first(*arguments: Any, **options: Any) -> Any:
        engine.remove(container_id)
        return real(*arguments, **options)

    monkeypatch.setattr(files, "_start", removes_first)
    with pytest.raises(NotFoundError, match=f"No such container: {container_id}"):
        engine.files.pack(container_id, "/bin/sh")


def test_a_removal_by_force_is_not_overtaken_by_a_start(engine, threads, monkeypatch):
    container_id = create(engine, "sleep", "1000")
    engine.start(container_id)
    refused: list[str] = []
    real = ending.kill

    def kills_and_starts(parts: Any, entry: Any, number: int) -> None:
        real(parts, entry, number)
        ending.wait_for_end(entry, PATIENCE_S)
        for again in (engine.start, engine.restart):
            with pytest.raises(ConflictError) as error:
                again(container_id)
            refused.append(str(error.value))

    monkeypatch.setattr(ending, "kill", kills_and_starts)
    engine.remove(container_id, force=True)
    assert len(refused) == 2
    assert all("is marked for removal and cannot be started" in words for words in refused)
    with pytest.raises(NotFoundError):
        engine.rename(container_id, "other")
