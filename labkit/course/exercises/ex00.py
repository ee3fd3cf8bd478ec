"""Exercises of chapter 0: a first container.  The judge reads its names, processes and files."""

import os

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import engines, missed, running
from labkit.course.exercises.place import Place, Seen

APART = ("mnt", "net", "uts", "ipc")
ADDED = 1
"""The kind of a change in the engine's list: 0 changed, 1 added, 2 deleted."""

_LIFE = Lesson(
    "A container runs as long as its first process does.",
    "chapter 0, section Your first container",
    "the state that the engine lists for it, also when it has ended",
)
_HOST_NAME = Lesson(
    "Each container has its own host name, which is not the container's name.",
    "chapter 0, section Whose kernel is it?",
    "the output of the program hostname in the container",
)
_PROCESSES = Lesson(
    "A container has its own things, or sees the host's: each kind is chosen by itself.",
    "chapter 0, section Under the hood",
    "the link pid in /proc/PID/ns of its first process, and the same link of your own process",
)
_APART = Lesson(
    "Only the processes are wanted: its files, its network and its names stay its own.",
    "chapter 0, section Under the hood",
    "the links mnt, net, uts and ipc in /proc/PID/ns",
)
_STATUS = Lesson(
    "A container ends with its first process, and has that process's exit status.",
    "chapter 0, section Your first container",
    "the exit status in the list of all containers",
)
_FILE = Lesson(
    "Each container writes into its own layer, above the image.",
    "chapter 0, section Whose kernel is it?",
    "the file in the container, while it runs",
)
_OWN = Lesson(
    "A file of the image, or of a folder of the host, is not the container's alone.",
    "chapter 0, section Under the hood",
    "the engine's list of what the container has changed",
)


def _draw_name(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("first"), "host": dice.word(3)}


def _judge_name(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 2, _LIFE)
    if seen is None:
        return missed(found, ("its host name", values.host, 4, _HOST_NAME))
    own = seen.namespace("uts") != place.namespace("uts")
    name = processes.inside(seen.pid, ("uts",), lambda: os.uname().nodename)
    text = name if own else "that of the host"
    found.add("its host name", values.host, text, 4, _HOST_NAME)
    return found.all


def _draw_sees(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("watcher")}


def _judge_sees(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    what, rest = "the processes that it sees", "its files, network, names and shared memory"
    if seen is None:
        return missed(found, (what, "the host's", 3, _PROCESSES), (rest, "its own", 3, _APART))
    is_host = seen.namespace("pid") == place.namespace("pid")
    text = "the host's" if is_host else "its own"
    found.add(what, "the host's", text, 3, _PROCESSES)
    # Without root the engine has its own network, and "host" means that one.
    engine = engines.pid_of(place)
    shared = [
        kind
        for kind in APART
        if seen.namespace(kind) in (place.namespace(kind), processes.namespace(engine, kind))
    ]
    text = f"the host's for {', '.join(shared)}" if shared else "its own"
    found.add(rest, "its own", text, 3, _APART, met=is_host and not shared)
    return found.all


def _draw_status(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("brief"), "code": dice.randrange(3, 100)}


def _judge_status(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = place.container(values.name)
    state = "there is no such container" if seen is None else seen.status
    has_ended = found.add(f"the container {values.name}", "exited", state, 2, _LIFE)
    code = "nothing to look at" if seen is None else str(seen.attrs["State"]["ExitCode"])
    is_met = has_ended and code == str(values.code)
    found.add("its exit status", values.code, code, 4, _STATUS, met=is_met)
    return found.all


def _draw_file(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("writer"), "file": f"/{dice.word(3)}", "word": dice.word(3)}


def _judge_file(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    what, owner = f"the file {values.file} in it", "where that file is"
    wanted = "in the container alone"
    if seen is None:
        return missed(found, (what, values.word, 3, _FILE), (owner, wanted, 3, _OWN))
    text = _content(place, seen, values.file)
    is_written = found.add(what, values.word, text, 3, _FILE)
    changes = place.client.containers.get(seen.id).diff()
    added = {change["Path"] for change in changes if change["Kind"] == ADDED}
    is_own = values.file in added and not _is_mount(seen, values.file)
    text = wanted if is_own else "in the image, or on the host"
    found.add(owner, wanted, text, 3, _OWN, met=is_written and is_own)
    return found.all


def _content(place: Place, seen: Seen, name: str) -> str:
    done = place.client.containers.get(seen.id).exec_run(["head", "-c", "100", name])
    if done.exit_code or not isinstance(done.output, bytes):
        return "there is no such file"
    return done.output.decode("utf-8", "replace").strip()


def _is_mount(seen: Seen, name: str) -> bool:
    """Whether something is mounted at this path in the container."""
    with open(f"/proc/{seen.pid}/mountinfo", encoding="utf-8") as file:
        return any(line.split()[4] == name for line in file)


EXERCISES = (
    Exercise(
        "00.1",
        "Its own host name",
        "Start a container `{name}` from `busybox` that keeps running, with the host name "
        "`{host}`.",
        6,
        _draw_name,
        _judge_name,
    ),
    Exercise(
        "00.2",
        "It sees your processes",
        "Start a container `{name}` that keeps running and sees all the processes of the host, "
        "but nothing else of it: its files, its network and its names are its own.",
        7,
        _draw_sees,
        _judge_sees,
    ),
    Exercise(
        "00.3",
        "How it ended",
        "Run a container `{name}` that ends with the status {code}.  Do not remove it.",
        6,
        _draw_status,
        _judge_status,
    ),
    Exercise(
        "00.4",
        "A file that no one else has",
        "Start a container `{name}` from `busybox` that keeps running and has a file `{file}` "
        "with the word `{word}` in it.  Neither the image nor the host has this file.",
        7,
        _draw_file,
        _judge_file,
    ),
)
