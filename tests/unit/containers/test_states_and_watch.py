"""The table of states, waiting for an end, and the keys that leave a terminal."""

import re
import threading
from pathlib import Path

import pytest

from labkit.containers.life.watch import Watch
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container, ContainerConfig, HostConfig, State
from labkit.dialect import detach_keys
from labkit.errors import ConflictError, InvalidParameterError


def test_a_life_along_the_table():
    status = states.NONE
    for event in ("create", "start", "pause", "unpause", "die", "retry", "start", "die", "remove"):
        status = states.after(status, event)
    assert states.after(status, "destroy") == states.NONE


@pytest.mark.parametrize(
    ("status", "event"),
    [("paused", "start"), ("exited", "pause"), ("created", "die"), ("running", "remove")],
)
def test_what_the_table_does_not_have_is_refused(status, event):
    with pytest.raises(ConflictError, match=f"{status} cannot {event}"):
        states.after(status, event)


def test_every_state_is_reached_and_left():
    assert {row.after for row in states.TRANSITIONS} == {*states.STATES, states.NONE}
    assert {row.before for row in states.TRANSITIONS} == {*states.STATES, states.NONE}
    assert len({row[:2] for row in states.TRANSITIONS}) == len(states.TRANSITIONS)


def test_the_engine_sets_a_state_only_by_the_table():
    folder = Path(states.__file__).parent
    sets = re.compile(r"\bstatus\s*=\s*[\"']")
    found = {
        path.name
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
        if sets.search(line) and "cli" not in path.name
    }
    assert found <= {"model.py", "states.py", "health.py"}  # a health has a status of its own


def entry(status="running"):
    record = Container(
        id="1" * 64,
        name="x",
        created="",
        image_id="",
        config=ContainerConfig(),
        host_config=HostConfig(),
        state=State(status=status),
        command=["true"],
    )
    return Entry(record)


def end(known, code, then="exited"):
    with known.lock:
        known.end = State(status="exited", exit_code=code)
        known.container.state = State(status=then, exit_code=code if then == "exited" else 0)
        known.exits += 1
        known.changed.notify_all()


@pytest.mark.parametrize("condition", ["not-running", "next-exit"])
def test_an_end_between_watch_and_wait_is_not_missed(condition):
    known = entry()
    watch = Watch(known, condition)
    with pytest.raises(TimeoutError):
        watch.wait(0.01)
    end(known, 3, then="running")
    assert watch.wait(0).exit_code == 3


def test_not_running_holds_at_once_and_next_exit_does_not():
    known = entry("exited")
    assert Watch(known, "not-running").wait(0).status == "exited"
    with pytest.raises(TimeoutError):
        Watch(known, "next-exit").wait(0.01)


def test_removed_waits_for_the_removal():
    known = entry("exited")
    watch = Watch(known, "removed")
    got = []
    thread = threading.Thread(target=lambda: got.append(watch.wait(5).exit_code))
    thread.start()
    end(known, 7)
    with known.lock:
        known.removed = True
        known.changed.notify_all()
    thread.join(5)
    assert got == [7]
    with pytest.raises(InvalidParameterError):
        Watch(known, "tomorrow")


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-a", b"\1"), ("a,ctrl-@,ctrl-],DEL", b"a\0\x1d\x7f")],
)
def test_detach_keys(text, keys):
    assert detach_keys.parse(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", "ctrl-p,", "é"])
def test_detach_keys_that_are_none(text):
    with pytest.raises(InvalidParameterError, match="Invalid detach keys"):
        detach_keys.parse(text)
