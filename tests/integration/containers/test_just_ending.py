"""A container that has ended, and whose end the daemon has not heard of yet."""

import errno
import io
import os
import signal
import socket
import tarfile

import pytest

from labkit.containers.inside.committing import Commit
from labkit.containers.inside.execs import ExecConfig
from labkit.containers.life.updating import UpdateConfig
from labkit.errors import ConflictError
from labkit.kernel import messages
from labkit.networks import EndpointConfig, Network, new_id
from labkit.runtime.shim import MESSAGES
from tests.containers import create, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def ending(engine):
    """The id of such a container: as long as its lock is held, nobody hears of its end."""
    container_id = create(engine, "sleep", "1000")
    engine.start(container_id)
    entry = engine.parts.lookup.find(container_id)
    with entry.lock:
        os.kill(entry.container.state.pid, signal.SIGKILL)
        wait_until(lambda: container_id not in engine.layout.leftovers())
        assert entry.is_running
        yield container_id
    engine.wait(container_id, timeout_s=20)


def test_pause_and_top_are_conflicts(engine, ending):
    with pytest.raises(ConflictError, match=f"{ending} is not running"):
        engine.pause(ending)
    with pytest.raises(ConflictError, match=f"{ending} is not running"):
        engine.top(ending)
    with pytest.raises(ConflictError, match="not running"):
        engine.kill(ending, signal.SIGTERM)


def test_what_needs_no_process_works(engine, ending):
    assert engine.commit(ending, Commit()).id
    assert engine.stats(ending)["memory_stats"] == {}
    assert engine.update(ending, UpdateConfig(memory=64 << 20)) is not None
    archive = io.BytesIO(b"".join(engine.files.export(ending)))
    assert "bin/sh" in tarfile.open(fileobj=archive).getnames()
    assert engine.files.changes(ending) == []


def test_a_network_is_left_and_not_joined(engine, ending):
    network = engine.networks.create(Network("web", new_id(), ""))
    with pytest.raises(ConflictError, match=f"{ending} is not running"):
        engine.connect("web", ending, EndpointConfig())
    assert engine.networks.members(network) == {}
    engine.networks.remove(network)
    engine.disconnect("bridge", ending)


def test_an_exec_that_hears_of_the_containers_end_first(engine, monkeypatch):
    container_id = create(engine, "sleep", "1000")
    engine.start(container_id)
    made = engine.execs.create(container_id, ExecConfig(cmd=["true"]))
    ours, theirs = socket.socketpair()
    messages.send(theirs, ("exited", 137, False, "2024-05-01T12:00:00Z", []))
    # Which comes first is the kernel's choice: here it is this one.
    monkeypatch.setattr(engine.execs, "_connect", lambda entry: (ours, MESSAGES))
    with theirs, pytest.raises(ConflictError, match="is not running"):
        engine.execs.start(made.id, None, b"")


def test_an_exec_that_cannot_begin_has_an_exit_code(engine, ending):
    """Its client, which has read the error in the stream, asks for the code until there is one."""
    made = engine.execs.create(ending, ExecConfig(cmd=["true"]))
    with pytest.raises(ConflictError, match=f"{ending} is not running"):
        engine.execs.start(made.id, None, b"")
    settled = engine.execs.settled(made.id)
    assert (settled.running, settled.exit_code) == (False, 126)
    with pytest.raises(ConflictError, match="has already run"):
        engine.execs.start(made.id, None, b"")


def test_a_start_that_fails_anywhere_leaves_an_exit_code(engine, monkeypatch):
    container_id = create(engine, "sleep", "1000")
    engine.start(container_id)
    made = engine.execs.create(container_id, ExecConfig(cmd=["true"]))

    def fails(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(engine.execs, "_spec", fails)
    with pytest.raises(OSError, match="Too many open files"):
        engine.execs.start(made.id, None, b"")
    assert engine.execs.settled(made.id).exit_code == 126
