"""Exercises of chapter 2: client, daemon, registry.  The judge reads parents and sockets."""

import os
import re
import signal
import stat
import time
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import engines, folders, images, missed, running, sleeper
from labkit.course.exercises.place import Place, Seen

STOPPED = "T"
SIGNAL_S = 0.5

_LIFE = Lesson(
    "A container lasts as long as its first process.",
    "chapter 2, section There and back",
    "the state that the engine lists for it",
)
_WIRE = Lesson(
    "The command is one client of many: each of its commands is a request over HTTP, and a request "
    "can say what the command's syntax cannot.",
    "chapter 2, section What a command says",
    "the body of the request that creates a container, and the field Labels in it",
)
_PARENT = Lesson(
    "Between the daemon and each container there is a small process: the container's parent.",
    "chapter 2, section Whose child is it?",
    "the line PPid in /proc/PID/status of the container's first process",
)
_APART = Lesson(
    "A process that is stopped does nothing until it is continued; its children go on.",
    "chapter 2, section Whose child is it?",
    "the line State in /proc/PID/status of both processes",
)
_ENGINE = Lesson(
    "The daemon is an ordinary process: it can end, and the next command starts another one.",
    "chapter 2, section Whose child is it?",
    "the process that has the engine's socket open, and its number before and after",
)
_OUTLIVES = Lesson(
    "A container is not a child of the daemon, and so it does not end with it.",
    "chapter 2, section Whose child is it?",
    "the number and the start time of the container's first process",
)
_REGISTRY = Lesson(
    "A registry keeps pushed images in a folder; a name says at which registry, and a pull brings "
    "the same image back.",
    "chapter 2, section There and back",
    "the registry's folder, and the names of the image that the engine lists",
)
_DOOR = Lesson(
    "A process that can open the engine's socket controls the engine, also from a container.",
    "chapter 2, section What a command says",
    "the socket in the engine's run folder, and the mounts of your container",
)


def _draw_wire(dice: Dice) -> dict[str, object]:
    return {
        "name": dice.name("sent"),
        "label": f"{dice.word()}={dice.word()}",
        "value": dice.word(),
    }


def _judge_wire(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    what = f"its label {values.label!r}"
    if seen is None:
        return missed(found, (what, values.value, 5, _WIRE))
    labels = seen.attrs["Config"].get("Labels") or {}
    shown = ", ".join(sorted(map(repr, labels)))[:80] or "none"
    text = labels.get(values.label, f"no such label; there are: {shown}")
    found.add(what, values.value, text, 5, _WIRE)
    return found.all


def _draw_sleeper(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("child")}


def _scene_sleeper(place: Place, values: Values) -> Memo:
    seen = sleeper(place, values.name)
    engine = engines.pid_of(place)
    began = processes.start_time(engine)
    return {"child": [seen.id, seen.pid, seen.began], "engine": [engine, began]}


def _judge_parent(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = place.container(values.name)
    parent, child = f"the parent of process 1 of {values.name}", f"process 1 of {values.name}"
    if seen is None or not seen.is_alive:
        found.add(parent, "stopped", "the container has ended", 4, _PARENT, met=False)
        return missed(found, (child, "not stopped", 2, _APART))
    above = int(processes.status(seen.pid).get("PPid", "0"))
    text = "stopped" if _stops(above) else "not stopped"
    is_stopped = found.add(parent, "stopped", text, 4, _PARENT)
    state = "stopped" if _state(seen.pid) == STOPPED else "not stopped"
    text = "paused by the engine" if seen.status == "paused" else state
    is_met = is_stopped and text == "not stopped"
    found.add(child, "not stopped", text, 2, _APART, met=is_met)
    return found.all


def _stops(pid: int) -> bool:
    """Whether a process is stopped: a signal on its way needs a moment on a busy machine."""
    deadline = time.monotonic() + SIGNAL_S
    while _state(pid) != STOPPED and time.monotonic() < deadline:
        time.sleep(0.02)
    return _state(pid) == STOPPED


def _state(pid: int) -> str:
    return processes.status(pid).get("State", "")[:1]


def _tidy_parent(place: Place, values: Values) -> None:
    """Continue both processes, so that the engine can end the container."""
    seen = place.container(values.name)
    if seen is not None and seen.is_alive:
        for pid in (int(processes.status(seen.pid).get("PPid", "0")), seen.pid):
            if _state(pid) == STOPPED:
                os.kill(pid, signal.SIGCONT)


def _judge_outlives(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    engine = engines.pid_of(place)
    is_new = "engine" in memo and [engine, processes.start_time(engine)] != memo["engine"]
    text = "another process" if is_new else "the same process"
    found.add("the engine, compared with the start", "another process", text, 3, _ENGINE)
    seen = place.container(values.name)
    now = [] if seen is None else [seen.id, seen.pid, seen.began]
    is_same = seen is not None and seen.is_alive and now == memo.get("child")
    text = "the same process" if is_same else "another process, or none"
    what = f"process 1 of {values.name}, compared with the start"
    found.add(what, "the same process", text, 4, _OUTLIVES, met=is_new and is_same)
    return found.all


def _draw_door(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("captain"), "door": f"/{dice.word()}.sock"}


def _judge_door(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    what, wanted = f"{values.door} in it", "the engine's socket"
    if seen is None:
        return missed(found, (what, wanted, 5, _DOOR))
    found.add(what, wanted, _door(place, seen, values.door), 5, _DOOR)
    return found.all


def _door(place: Place, seen: Seen, name: str) -> str:
    try:
        inside = os.lstat(f"/proc/{seen.pid}/root{name}")
    except OSError:
        return "there is no such file"
    if not stat.S_ISSOCK(inside.st_mode):
        return "a file that is not a socket"
    engines = os.stat(place.client.api.socket_path)
    same = (inside.st_dev, inside.st_ino) == (engines.st_dev, engines.st_ino)
    return "the engine's socket" if same else "another socket"


def _draw_trip(dice: Dice) -> dict[str, object]:
    return {
        "image": dice.name("letter"),
        "name": dice.name("reader"),
        "store": dice.name("store"),
        "_word": dice.word(),
    }


def _scene_trip(place: Place, values: Values) -> Memo:
    made = images.make(place, values, values.image, {"letter": values["_word"].encode()})
    attrs = place.image(values.image) or {}
    return {"id": made, "layer": attrs["RootFS"]["Layers"][-1]}


def _judge_trip(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    what, sent = f"the repository in the registry's folder {values.store}", "there"
    names, same = "the names that the image has here", f"the image of {values.name}"
    text = "there" if _is_kept(place, values) else "no such repository"
    is_sent = found.add(what, sent, text, 3, _REGISTRY)
    attrs = place.image(memo.get("id", values.image))
    tags = sorted(tag.removesuffix(":latest") for tag in (attrs or {}).get("RepoTags") or ())
    reference = tags[0] if len(tags) == 1 else ""
    wanted = f"the one at the registry, 127.0.0.1:PORT/{values.image}"
    is_met = is_sent and bool(re.fullmatch(rf"127\.0\.0\.1:\d+/{values.image}", reference))
    found.add(names, wanted, ", ".join(tags) or "none", 2, _REGISTRY, met=is_met)
    seen = place.container(values.name)
    is_same = seen is not None and seen.attrs["Image"] == memo.get("id")
    said = str(seen.attrs["Config"]["Image"]).removesuffix(":latest") if seen else "no container"
    wanted = "the one that was sent, by its name at the registry"
    text = wanted if is_same and said == reference else said
    found.add(same, wanted, text, 3, _REGISTRY, met=is_met and text == wanted)
    return found.all


def _is_kept(place: Place, values: Values) -> bool:
    """Whether a registry has kept the image in its folder, as a layout that others can read."""

    def look() -> bool:
        above = place.path(f"{values.store}/repositories")
        return any(
            values.image in name and os.path.exists(f"{above}/{name}/index.json")
            for name in (os.listdir(above) if os.path.isdir(above) else ())
        )

    return place.among_files(look)


def _tidy_trip(place: Place, values: Values) -> None:
    for pid in processes.every():
        words = processes.words_of(pid)
        if "registry" in words and any(values.store in word for word in words):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    images.remove(place, values)
    folders.remove(place, values.store)


EXERCISES = (
    Exercise(
        "02.1",
        "More than the command can say",
        "Start a container `{name}` from `busybox` that keeps running and has a label whose name "
        "is `{label}` and whose value is `{value}`.  The name has an equals sign in it.",
        6,
        _draw_wire,
        _judge_wire,
    ),
    Exercise(
        "02.2",
        "The parent is stopped",
        "`{name}` runs already.  Stop the parent of its first process by a signal, without ending "
        "it.  The first process itself goes on.",
        6,
        _draw_sleeper,
        _judge_parent,
        _scene_sleeper,
        _tidy_parent,
    ),
    Exercise(
        "02.3",
        "A door to the engine",
        "Start a container `{name}` that keeps running, and in which `{door}` is the engine's own "
        "socket: a client inside could control the engine.",
        6,
        _draw_door,
        _judge_door,
    ),
    Exercise(
        "02.4",
        "It outlives the daemon",
        "`{name}` runs already.  End the engine's daemon, and let another one be started.  The "
        "container runs on all the time.",
        7,
        _draw_sleeper,
        _judge_outlives,
        _scene_sleeper,
    ),
    Exercise(
        "02.5",
        "There and back",
        "Start a registry at a port of 127.0.0.1 that keeps its images in `{store}` beside this "
        "notebook.  Send the image `{image}` there, remove it here under all its names, and "
        "run a container `{name}` from what the registry has.",
        8,
        _draw_trip,
        _judge_trip,
        _scene_trip,
        _tidy_trip,
    ),
)
