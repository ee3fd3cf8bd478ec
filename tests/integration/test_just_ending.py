"""A container that has ended, and whose end the daemon has not heard of yet."""

import io
import os
import signal
import tarfile

import pytest

from labkit.containers.committing import Commit
from labkit.containers.updating import UpdateConfig
from labkit.errors import ConflictError
from tests.containers import create, wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def ending(engine):
    """The id of such a container: as long as its lock is held, nobody hears of its end."""
    container_id = create(engine, "sleep", "1000")
    engine.start(container_id)
    entry = engine.parts.registry.find(container_id)
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
