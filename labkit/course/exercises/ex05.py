"""Exercises of chapter 5: the instructions.  The judge runs what was built, and stops it."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import images, missed, running, trials
from labkit.course.exercises.looks.clock import waiting
from labkit.course.exercises.place import Place
from labkit.errors import LabkitError, NotFoundError

SIGTERM_BIT = 1 << 14
"""SIGTERM is signal 15, the lowest bit of SigCgt is signal 1 (proc(5))."""
SHELLS = {"sh", "ash", "bash", "dash", "hush"}
HEALTH_S = 6.0

_START = Lesson(
    "A container starts one list of words: the fixed words, then the default words or those "
    "that were given instead.",
    "chapter 5, section What starts",
    "Entrypoint and Cmd in the engine's record of the image",
)
_FORM = Lesson(
    "An instruction without brackets is given to a shell, which takes no further words.",
    "chapter 5, section What starts",
    "Entrypoint in the engine's record of the image: whether a shell comes first",
)
_HEARS = Lesson(
    "The signal to stop is sent to process 1 alone, and process 1 ignores it without a handler.",
    "chapter 5, section Who hears stop",
    "the line SigCgt in /proc/PID/status of process 1",
)
_ENDS = Lesson(
    "A shell runs its handler only between two commands, and ends with the status it is given.",
    "chapter 5, section Who hears stop",
    "the last command of the handler, and the command that runs when the signal comes",
)
_STAGES = Lesson(
    "A second stage begins with nothing, and takes single files from the first one.",
    "chapter 5, section Two stages",
    "RootFS.Layers in the engine's record of the image",
)
_BARE = Lesson(
    "In an image that begins with nothing there is only what you copy, under the name you give.",
    "chapter 5, section Two stages",
    "the list of all files in a container of the image",
)
_DIARY = Lesson(
    "A volume with a name outlives all containers that had it mounted.",
    "chapter 5, section A folder on the host's disk",
    "the list of volumes, and the file in the folder of the volume",
)
_HEALTH = Lesson(
    "The engine runs a check inside again and again, and counts how often it fails in a row.",
    "chapter 5, section Notes for the user of the image",
    "Healthcheck in the engine's record of the container: the command, how often, how many",
)


def _draw_words(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("greeter"), "greeting": dice.word(), "name": dice.word()}


def _judge_words(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    one, two = secrets.token_hex(3), [secrets.token_hex(3), secrets.token_hex(3)]
    given: dict[str, list[str]] = {"no words": [], "one word": [one], "two words": two}
    plain = False
    for what, words in given.items():
        wanted = " ".join([values.greeting, *(words or [values.name])])
        trial = trials.run(place, values, values.image, words)
        is_right = trial.code == 0 and trial.output.strip() == wanted
        plain = plain or (is_right and not words)
        lesson = _FORM if plain else _START
        found.add(f"run with {what}", repr(wanted), trial, 2, lesson, met=is_right)
    return found.all


def _draw_stop(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("polite"), "seconds": dice.seconds()}


def _judge_stop(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    what = "process 1 and the signal to stop"
    took, ended = "how long a stop takes", "its exit status"
    try:
        container = place.client.containers.run(
            values.image, name=f"stopped-{values.mark}", detach=True
        )
    except LabkitError as error:
        found.add(what, "it has a handler", str(error)[:80], 2, _HEARS, met=False)
        return missed(found, (took, "less than 1 s", 3, _ENDS), (ended, "0", 2, _ENDS))
    try:
        time.sleep(0.5)  # a shell sets its handlers in its first moments
        container.reload()
        pid = int(container.attrs["State"]["Pid"])
        caught = int(processes.status(pid).get("SigCgt", "0"), 16) & SIGTERM_BIT
        text = "it has a handler" if caught else "it ignores it" if pid else "it has ended"
        hears = found.add(what, "it has a handler", text, 2, _HEARS)
        begin = time.monotonic()
        with suppress(LabkitError):
            container.stop(timeout=2)
        took_s = time.monotonic() - begin
        container.reload()
        code = int(container.attrs["State"]["ExitCode"])
        is_quick = hears and took_s < 1
        found.add(took, "less than 1 s", f"{took_s:.1f} s", 3, _ENDS, met=is_quick)
        found.add(ended, "0", code, 2, _ENDS, met=is_quick and code == 0)
    finally:
        with suppress(LabkitError):
            container.remove(force=True)
    return found.all


def _draw_bare(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("bare"), "line": f"{dice.word()} {dice.word()}"}


def _judge_bare(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    trial = trials.run(place, values, values.image)
    says = trial.code == 0 and trial.output.strip() == values.line
    found.add("its output", repr(values.line), trial, 2, _START, met=says)
    attrs = place.image(values.image)
    if attrs is None:
        return missed(found, ("its layers", "1", 3, _STAGES), ("its shells", "none", 2, _BARE))
    count = len(attrs["RootFS"]["Layers"])
    found.add("its layers", "1", count, 3, _STAGES, met=says and count == 1)
    shells = sorted(_names(place, values.image) & SHELLS)
    text = ", ".join(shells) or "none"
    found.add("its shells", "none", text, 2, _BARE, met=says and not shells)
    return found.all


def _names(place: Place, image: str) -> set[str]:
    """The names of all files of an image, without their folders."""
    return {path.rpartition("/")[2] for path in images.files(place.client, image)}


def _draw_diary(dice: Dice) -> dict[str, object]:
    names = {name: dice.name(name) for name in ("monday", "tuesday", "diary")}
    return {**names, "first": dice.word(), "second": dice.word()}


def _judge_diary(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    what, wanted = f"the file days of the volume {values.diary}", [values.first, values.second]
    text = _diary(place, values)
    is_written = text.split() == wanted
    found.add(what, " and ".join(wanted), repr(text[:60]), 4, _DIARY, met=is_written)
    names = [values.monday, values.tuesday]
    gone = [name for name in names if _has_been(place, name) and place.container(name) is None]
    text = f"{len(gone)} of 2 wrote and are removed"
    is_met = is_written and gone == names
    wanted_text = "2 of 2 wrote and are removed"
    found.add("its containers", wanted_text, text, 3, _DIARY, met=is_met)
    return found.all


def _diary(place: Place, values: Values) -> str:
    try:
        place.client.volumes.get(values.diary)
    except NotFoundError:
        return "there is no such volume"
    volumes = {values.diary: {"bind": "/d", "mode": "ro"}}
    return trials.run(place, values, "busybox", ["cat", "/d/days"], volumes=volumes).output


def _has_been(place: Place, name: str) -> bool:
    """Whether a container of this name has been started, and had the volume for it."""
    filters = {"container": name, "event": "start", "type": "container"}
    return any(True for _ in place.client.events(since=1, until=time.time(), filters=filters))


def _draw_health(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("patient"), "file": f"/{dice.word()}"}


def _judge_health(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _HEALTH)
    well = f"its health with {values.file}"
    ill = f"its health {HEALTH_S:.0f} s after {values.file} was removed"
    if seen is None:
        return missed(found, (well, "healthy", 2, _HEALTH), (ill, "unhealthy", 4, _HEALTH))

    def health() -> str:
        now = place.container(values.name)
        state = now.attrs["State"].get("Health") if now else None
        return str(state["Status"]) if state else "none is checked"

    container = place.client.containers.get(seen.id)
    text = _awaited(health, "healthy")
    is_well = found.add(well, "healthy", text, 2, _HEALTH)
    if not is_well:
        return missed(found, (ill, "unhealthy", 4, _HEALTH))
    container.exec_run(["rm", values.file])
    text = _awaited(health, "unhealthy")
    container.exec_run(["touch", values.file])  # as the learner left it, for the next check
    found.add(ill, "unhealthy", text, 4, _HEALTH)
    return found.all


def _awaited(look: Callable[[], str], wanted: str) -> str:
    """Repeat `look` until it returns `wanted`, or to the end of HEALTH_S; its last result."""
    clock = waiting()
    while (text := look()) != wanted and text != "none is checked" and clock.now() < HEALTH_S:
        time.sleep(0.1)
    return text


EXERCISES = (
    Exercise(
        "05.1",
        "Fixed words and default words",
        "Build an image `{image}`.  A container of it prints `{greeting} {name}`.  If it is "
        "started with words after the image's name, it prints `{greeting}` and those words "
        "instead.",
        6,
        _draw_words,
        _judge_words,
    ),
    Exercise(
        "05.2",
        "It stops when it is asked",
        "Build an image `{image}`.  Its container runs until it is stopped; then it ends within a "
        "second, with status 0.",
        7,
        _draw_stop,
        _judge_stop,
    ),
    Exercise(
        "05.3",
        "Two stages, one layer, no shell",
        "Build an image `{image}` that prints `{line}`.  It has exactly one layer, and no file in "
        "it is called sh, ash, bash, dash or hush.",
        7,
        _draw_bare,
        _judge_bare,
    ),
    Exercise(
        "05.4",
        "A diary that outlives its writers",
        "The container `{monday}` writes the line `{first}` into the file `days` of the volume "
        "`{diary}`, and is removed.  Then the container `{tuesday}` adds the line `{second}`, and "
        "is removed as well.",
        7,
        _draw_diary,
        _judge_diary,
    ),
    Exercise(
        "05.5",
        "Ill within seconds",
        "Start `{name}` with a health check.  It is healthy as long as it has the file `{file}`, "
        "and unhealthy within 6 seconds after the file was removed.  The check removes the file, "
        "and puts it back.",
        7,
        _draw_health,
        _judge_health,
    ),
)
