"""Exercises of chapter 8: the life of a container.  The judge reads states, and acts itself."""

import io
import os
import signal
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import folders, missed, running
from labkit.course.exercises.looks.clock import waiting
from labkit.course.exercises.place import Place, Seen
from labkit.errors import LabkitError

KILLED = 137
SNAPSHOT_BYTES = 24 << 20
_STATES = Lesson(
    "A container is in one state, and each event leads from one state to another.",
    "chapter 8, section One table, one picture",
    "the state that the engine lists for each container, stopped ones too",
)
_FROZEN = Lesson(
    "A paused container's processes are frozen by the kernel: they use no CPU, and stay in memory.",
    "chapter 8, section Pause, and a snapshot",
    "the file freezer.state (cgroup v2: cgroup.freeze) of the group",
)
_WAY = Lesson(
    "Every event of a container is kept in order; a container that ended may be started again.",
    "chapter 8, section One table, one picture",
    "the events of this container, and the table of states",
)
_DEAF = Lesson(
    "Process 1 ignores a signal for which it has no handler, so the engine waits and then kills.",
    "chapter 8, section Stop asks, kill does not",
    "the line SigCgt in /proc/PID/status of process 1, and the program of process 1",
)
_POLICY = Lesson(
    "A container that died is judged by its restart policy; one that you ended is not.",
    "chapter 8, section Who comes back",
    "the restart policy in the engine's record of the container",
)
_LIMITED = Lesson(
    "One policy counts its restarts of a failing container, and stops at a number.",
    "chapter 8, section Who comes back",
    "RestartCount, ExitCode and the restart policy in the engine's record of the container",
)


def frozen(seen: Seen) -> bool:
    """Whether the kernel has frozen a container."""
    text = seen.read("freezer", "freezer.state", "cgroup.events")
    return text == "FROZEN" or "frozen 1" in text.splitlines()


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether a condition holds within this time, which is longer on a busy machine."""
    clock = waiting()
    while clock.now() < timeout_s:
        with suppress(LabkitError):
            if condition():
                return True
        time.sleep(0.05)
    return False


def _draw_states(dice: Dice) -> dict[str, object]:
    names = {name: dice.name(name) for name in ("fresh", "awake", "frozen", "gone")}
    return {**names, "code": dice.randrange(3, 60)}


def _judge_states(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    fresh, awake, ice, gone = (
        place.container(values[name]) for name in ("fresh", "awake", "frozen", "gone")
    )
    _add_state(found, values.fresh, "created", fresh)
    is_awake = awake is not None and awake.is_alive and not frozen(awake)
    _add_state(found, values.awake, "running", awake, met=is_awake)
    text = "no such container" if ice is None else ice.status
    is_met = ice is not None and ice.is_alive and frozen(ice)
    found.add(f"the state of {values.frozen}", "paused", text, 1, _FROZEN, met=is_met)
    wanted = f"exited with {values.code}"
    text = "no such container" if gone is None else gone.status
    if gone is not None and gone.status == "exited":
        text = f"exited with {gone.attrs['State']['ExitCode']}"
    found.add(f"the state of {values.gone}", wanted, text, 1, _STATES)
    return found.all


def _add_state(
    found: Findings, name: str, wanted: str, seen: Seen | None, *, met: bool = True
) -> None:
    text = "no such container" if seen is None else seen.status
    found.add(f"the state of {name}", wanted, text, 1, _STATES, met=met and text == wanted)


WAYS = (
    ("create", "start", "pause", "unpause", "die", "start"),
    ("create", "start", "die", "start", "pause"),
    ("create", "start", "pause", "unpause", "pause", "unpause"),
    ("create", "start", "die", "start", "die"),
)
_SAID = {
    "create": "created",
    "start": "started",
    "pause": "paused",
    "unpause": "unpaused",
    "die": "ended",
}


def _draw_way(dice: Dice) -> dict[str, object]:
    way = dice.choice(WAYS)
    return {"name": dice.name("walker"), "way": ", ".join(_SAID[event] for event in way)}


def _judge_way(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    wanted = values.way.split(", ")
    seen = place.container(values.name)
    if seen is None:
        found.add("its way", values.way, "no such container", 6, _WAY, met=False)
        return found.all
    events = place.client.events(
        since=1, until=time.time(), filters={"container": seen.id, "type": "container"}
    )
    gone = [_SAID[each["Action"]] for each in events if each.get("Action") in _SAID]
    same = 0
    for went, asked in zip(gone, wanted, strict=False):
        if went != asked:
            break
        same += 1
    is_met = gone == wanted
    first = wanted[:2]
    found.add("how it began", ", ".join(first), ", ".join(gone[:2]), 1, _WAY, met=same >= 2)
    found.add("its way", values.way, ", ".join(gone), 5, _WAY, met=is_met)
    return found.all


def _draw_deaf(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("server"), "seconds": dice.seconds()}


def _judge_deaf(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _STATES)
    sleeps = f"a process in it that sleeps for {values.seconds} s"
    ends, how = "how long a stop takes", "how it ended"
    if seen is None:
        return missed(
            found,
            (sleeps, "there is one", 1, _STATES),
            (ends, "less than 1 s", 3, _DEAF),
            (how, "not killed", 2, _DEAF),
        )
    group = seen.namespace("pid")
    sleepers = place.started("sleep", str(values.seconds))
    has = any(processes.namespace(pid, "pid") == group for pid in sleepers)
    found.add(sleeps, "there is one", "there is one" if has else "none", 1, _STATES)
    container = place.client.containers.get(seen.id)
    begin = time.monotonic()
    with suppress(LabkitError):
        container.stop(timeout=3)
    took_s = time.monotonic() - begin
    container.reload()
    code = int(container.attrs["State"]["ExitCode"])
    with suppress(LabkitError):  # as the learner left it, for the next check
        container.start()
    is_quick = has and took_s < 1
    found.add(ends, "less than 1 s", f"{took_s:.1f} s", 3, _DEAF, met=is_quick)
    text = "killed" if code == KILLED else f"with status {code}"
    found.add(how, "not killed", text, 2, _DEAF, met=is_quick and code != KILLED)
    return found.all


def _draw_back(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("stubborn"), "memory": dice.randrange(12, 40)}


def _judge_back(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _STATES)
    limit, back, stays = "its memory limit", "after its process died", "after you killed it"
    wanted = f"{values.memory} MiB"
    if seen is None:
        return missed(
            found,
            (limit, wanted, 1, _POLICY),
            (back, "it runs again", 3, _POLICY),
            (stays, "it stays ended", 2, _POLICY),
        )
    text = seen.read("memory", "memory.limit_in_bytes", "memory.max")
    shown = f"{int(text) >> 20} MiB" if text.isdigit() and int(text) < 1 << 40 else "none"
    found.add(limit, wanted, shown, 1, _POLICY)
    os.kill(seen.pid, signal.SIGKILL)  # as the kernel ends one that needs too much memory

    def is_back() -> bool:
        now = place.container(values.name)
        return now is not None and now.is_alive and (now.pid, now.began) != (seen.pid, began)

    began = seen.began
    came = wait_for(is_back, 5)
    found.add(back, "it runs again", "it runs again" if came else "it stays ended", 3, _POLICY)
    container = place.client.containers.get(seen.id)
    with suppress(LabkitError):
        container.kill()
    time.sleep(1.5)
    now = place.container(values.name)
    stayed = came and now is not None and not now.is_alive
    text = "it stays ended" if stayed or not came else "it runs again"
    found.add(stays, "it stays ended", text, 2, _POLICY, met=stayed)
    with suppress(LabkitError):
        container.start()
    return found.all


def _draw_twice(dice: Dice) -> dict[str, object]:
    return {
        "name": dice.name("failing"),
        "code": dice.randrange(3, 60),
        "times": dice.choice([2, 3]),
    }


def _judge_twice(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()

    def has_given_up() -> bool:
        now = place.container(values.name)
        return now is not None and now.status == "exited" and now.attrs["RestartCount"] > 0

    seen = place.container(values.name)
    if seen is not None and seen.attrs["HostConfig"]["RestartPolicy"].get("Name"):
        wait_for(has_given_up, 4)
        seen = place.container(values.name)
    status = f"exited with {values.code}"
    if seen is None:
        text = "no such container"
    elif seen.status == "exited":
        text = f"exited with {seen.attrs['State']['ExitCode']}"
    else:
        text = seen.status
    is_over = found.add("its state", status, text, 2, _LIMITED)
    count = 0 if seen is None else int(seen.attrs["RestartCount"])
    times = f"{values.times} times"
    is_met = is_over and count == values.times
    found.add("how often it was started again", times, f"{count} times", 3, _LIMITED, met=is_met)
    return found.all


WRITER = (
    "mkdir -p /srv; head -c 2000000 /dev/urandom > /srv/middle; n=0; while true; do n=$((n+1)); "
    "echo $n > /srv/first; echo $n > /srv/last; usleep 2000; done"
)
"""Writes one number to two files, between which an archive has a long one."""


def _draw_snapshot(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("counter"), "file": f"snapshot-{dice.mark}.tar"}


def _scene_snapshot(place: Place, values: Values) -> Memo:
    place.client.containers.run("busybox", ["sh", "-c", WRITER], name=values.name, detach=True)
    wait_for(lambda: _counts(place, values.name), 10)
    seen = place.container(values.name)
    return {"process": [seen.pid, seen.began]} if seen else {}


def _counts(place: Place, name: str) -> bool:
    seen = place.container(name)
    return seen is not None and os.path.lexists(f"/proc/{seen.pid}/root/srv/last")


def _judge_snapshot(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    data = place.read_file(values.file, SNAPSHOT_BYTES)
    first, last = ("", "") if data is None else _numbers(data)
    what, wanted = "the numbers in srv/first and srv/last of the snapshot", "at most 1 apart"
    text = "there is no such file" if data is None else f"{first or 'none'} and {last or 'none'}"
    is_near = first.isdigit() and last.isdigit() and abs(int(first) - int(last)) <= 1
    found.add(what, wanted, text, 4, _FROZEN, met=is_near)
    seen = place.container(values.name)
    now = [] if seen is None else [seen.pid, seen.began]
    text = "no such container" if seen is None else seen.status
    if seen is not None and seen.is_alive and now != memo.get("process"):
        text = "it was started again"
    runs_on = text == "running" and seen is not None and not frozen(seen)
    found.add(f"{values.name} afterwards", "running", text, 2, _FROZEN, met=is_near and runs_on)
    return found.all


def _numbers(data: bytes) -> tuple[str, str]:
    """The text of the two files in an archive."""
    said = {"srv/first": "", "srv/last": ""}
    with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = member.name.removeprefix("./").lstrip("/")
            if name in said and member.isreg() and (file := tar.extractfile(member)):
                said[name] = file.read(20).decode("ascii", "replace").strip()
    return said["srv/first"], said["srv/last"]


def _tidy_snapshot(place: Place, values: Values) -> None:
    folders.remove(place, values.file)


EXERCISES = (
    Exercise(
        "08.1",
        "One in each state",
        "Bring four containers into four states: `{fresh}` is created, `{awake}` runs, `{frozen}` "
        "is paused, `{gone}` has exited with status {code}.",
        4,
        _draw_states,
        _judge_states,
    ),
    Exercise(
        "08.2",
        "A way through the states",
        "Take `{name}` on exactly this way: {way}.",
        6,
        _draw_way,
        _judge_way,
    ),
    Exercise(
        "08.3",
        "A deaf server that stops at once",
        "Start `{name}`, in which a process sleeps for {seconds} seconds.  A process 1 that only "
        "sleeps is deaf to a stop.  Make it end within a second, without being killed.  The check "
        "stops it and starts it again.",
        7,
        _draw_deaf,
        _judge_deaf,
    ),
    Exercise(
        "08.4",
        "Back after dying, not after killing",
        "Start `{name}` with {memory} MiB of memory.  If its process dies, as when memory runs "
        "out, it is started again; if you kill it, it stays ended.  The check tries both.",
        7,
        _draw_back,
        _judge_back,
    ),
    Exercise(
        "08.5",
        "It gives up",
        "Start `{name}`, which always fails with status {code}.  It is started again {times} "
        "times, and then no more.",
        5,
        _draw_twice,
        _judge_twice,
    ),
    Exercise(
        "08.6",
        "A snapshot whose files agree",
        "`{name}` runs already, and writes the same number into /srv/first and /srv/last many "
        "times a second.  Write all its files, as they are at one moment, into an archive `{file}` "
        "beside this notebook.  The container runs on afterwards.",
        6,
        _draw_snapshot,
        _judge_snapshot,
        _scene_snapshot,
        _tidy_snapshot,
    ),
)
