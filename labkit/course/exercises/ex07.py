"""Exercises of chapter 7: running containers.  The judge reads terminals, words and namespaces."""

import os
from collections.abc import Sequence

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import folders, missed, running, sleeper, trials
from labkit.course.exercises.place import Place

_LIFE = Lesson(
    "A container runs as long as its first process.",
    "chapter 7, section What starts",
    "the state that the engine lists for the container",
)
_TERMINAL = Lesson(
    "A terminal and an open input are two options, and both work in the background.",
    "chapter 7, section In front, behind, and with a terminal",
    "the links in /proc/PID/fd of the first process, and OpenStdin in the engine's record",
)
_GUEST = Lesson(
    "Another command in a container joins its namespaces; it is not a child of the first process.",
    "chapter 7, section Two doors",
    "the links in /proc/PID/ns of your process, and the line PPid of its status",
)
_ATTACH = Lesson(
    "A client that attaches types into the first process; when it detaches, that runs on.",
    "chapter 7, section Two doors",
    "the log of the container, and the keys that detach",
)
_WORDS = Lesson(
    "The first process is the entry point with its words; each can be replaced by itself.",
    "chapter 7, section What starts",
    "the file /proc/PID/cmdline of the first process",
)
_SHORT = Lesson(
    "Any beginning of a long id means the container, as long as no other id begins like it.",
    "chapter 7, section Three names",
    "the long ids of all containers, also of those that do not run",
)
_NAMES = Lesson(
    "A container has a name, and a long id of which any beginning is enough that no other id has.",
    "chapter 7, section Three names",
    "the names in the list of containers",
)


def _draw_terminal(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("desk")}


def _judge_terminal(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    terminal, stdin = "the file that its first process reads", "its input"
    if seen is None:
        return missed(
            found, (terminal, "a terminal", 3, _TERMINAL), (stdin, "kept open", 2, _TERMINAL)
        )
    try:
        target = os.readlink(f"/proc/{seen.pid}/fd/0")
    except OSError:
        target = ""
    is_terminal = target.startswith("/dev/pts/") or target == "/dev/console"
    text = "a terminal" if is_terminal else target or "nothing"
    found.add(terminal, "a terminal", text, 3, _TERMINAL, met=is_terminal)
    is_open = bool(seen.attrs["Config"]["OpenStdin"])
    text = "kept open" if is_open else "closed"
    found.add(stdin, "kept open", text, 2, _TERMINAL, met=is_terminal and is_open)
    return found.all


def _draw_guest(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("house"), "seconds": dice.seconds()}


def _scene_guest(place: Place, values: Values) -> Memo:
    sleeper(place, values.name)
    return {}


def _judge_guest(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 0, _LIFE)
    guests = place.started("sleep", str(values.seconds))
    what = f"the namespaces of the process that sleeps for {values.seconds} s"
    wanted, parent = f"those of {values.name}", "its parent"
    if seen is None or not guests:
        found.add(what, wanted, "there is no such process", 4, _GUEST, met=False)
        return missed(found, (parent, "none in the container", 2, _GUEST))
    kinds = ("pid", "mnt", "net", "uts", "ipc")
    inside = [
        pid
        for pid in guests
        if all(processes.namespace(pid, kind) == seen.namespace(kind) for kind in kinds)
    ]
    found.add(what, wanted, wanted if inside else "others", 4, _GUEST)
    above = int(processes.status((inside or guests)[0]).get("PPid", "0"))
    is_guest = bool(inside) and processes.namespace(above, "pid") != seen.namespace("pid")
    text = "none in the container" if is_guest else "a process of the container"
    found.add(parent, "none in the container", text, 2, _GUEST, met=is_guest)
    return found.all


def _draw_attach(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("ear"), "word": f"{dice.word()}{dice.randrange(100, 999)}"}


def _scene_attach(place: Place, values: Values) -> Memo:
    place.client.containers.run("busybox", ["cat"], name=values.name, detach=True, stdin_open=True)
    seen = place.container(values.name)
    return {"pid": seen.pid, "began": seen.began} if seen else {}


def _judge_attach(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 0, _LIFE)
    heard, stays = "the words that its first process has read", "its first process"
    same = "the one from the start"
    if seen is None:
        return missed(found, (heard, values.word, 4, _ATTACH), (stays, same, 2, _ATTACH))
    log = trials.printed(place.client.containers.get(seen.id))
    lines = [line.strip() for line in log.splitlines()]
    text = values.word if values.word in lines else (lines or ["nothing"])[-1][:40]
    is_heard = found.add(heard, values.word, text, 4, _ATTACH)
    is_same = [seen.pid, seen.began] == [memo.get("pid"), memo.get("began")]
    text = same if is_same else "another one"
    found.add(stays, same, text, 2, _ATTACH, met=is_heard and is_same)
    return found.all


def _draw_words(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("talker"), "name": dice.name("mute"), "seconds": dice.seconds()}


def _scene_words(place: Place, values: Values) -> Memo:
    container = place.client.containers.create("busybox", ["true"], name=f"{values.name}-scene")
    changes = ['ENTRYPOINT ["echo"]', f'CMD ["{values.seconds}"]']
    container.commit(values.image, "latest", changes=changes)
    container.remove(force=True)
    return {}


def _judge_words(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    image, words = "its image", "the words of its first process"
    wanted = f"sleep {values.seconds}"
    if seen is None:
        return missed(found, (image, values.image, 2, _WORDS), (words, wanted, 3, _WORDS))
    made = place.image(values.image)
    is_of = made is not None and seen.attrs["Image"] == made["Id"]
    name = values.image if is_of else str(seen.attrs["Config"]["Image"])
    found.add(image, values.image, name, 2, _WORDS, met=is_of)
    said = seen.pid in place.started("sleep", str(values.seconds))
    text = wanted if said else " ".join(processes.words_of(seen.pid))[:60] or "none"
    found.add(words, wanted, text, 3, _WORDS, met=is_of and said)
    return found.all


def _draw_names(dice: Dice) -> dict[str, object]:
    return {"old": dice.name("old"), "new": dice.name("new")}


def _scene_names(place: Place, values: Values) -> Memo:
    seen = sleeper(place, values.old)
    return {"id": seen.id, "began": seen.began}


def _judge_names(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.new, 1, _LIFE)
    same, old = "which container it is", f"the name {values.old}"
    first = f"the one that was {values.old}"
    if seen is None:
        return missed(found, (same, first, 3, _NAMES), (old, "free", 1, _NAMES))
    is_same = [seen.id, seen.began] == [memo.get("id"), memo.get("began")]
    found.add(same, first, first if is_same else "another one", 3, _NAMES)
    is_free = place.container(values.old) is None
    text = "free" if is_free else "in use"
    found.add(old, "free", text, 1, _NAMES, met=is_same and is_free)
    return found.all


MOST_STARTS = 17
"""With so many ids, two begin with the same one of 16 digits."""


def _draw_short(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("many"), "file": f"short-{dice.mark}"}


def _scene_short(place: Place, values: Values) -> Memo:
    """Containers until two of them begin alike: one digit is not enough for these."""
    known: dict[str, str] = {}
    for number in range(1, MOST_STARTS + 1):
        name = f"{values.name}-{number}"
        made = place.client.containers.create("busybox", ["true"], name=name)
        if (other := known.get(made.id[0])) is not None:
            return {"alike": [other, made.id]}
        known[made.id[0]] = made.id
    return {}


def _judge_short(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    data = place.read_file(values.file, 4096)
    words = (data or b"").decode("utf-8", "replace").split()
    every = [one.id for one in place.client.containers.list(all=True)]
    alike = memo.get("alike", [])
    named = [word for word in words if _meant(word, every) in alike]
    what, short = "containers of the two that a line names alone", "lines that are too long"
    text = "no such file" if data is None else str(len({_meant(each, every) for each in named}))
    has_both = found.add(what, "2", text, 3, _SHORT)
    long = [word for word in named if _meant(word[:-1], every)]
    text = f"{len(long)}" if named else "nothing to look at"
    is_met = has_both and not long and len(words) == 2
    found.add(short, "0", text if len(words) == 2 else f"{len(words)} words", 3, _SHORT, met=is_met)
    return found.all


def _meant(word: str, ids: Sequence[str]) -> str:
    """The id that a beginning means, as the engine takes it; "" if none or several."""
    found = [each for each in ids if word and each.startswith(word)]
    return found[0] if len(found) == 1 else ""


def _tidy_short(place: Place, values: Values) -> None:
    folders.remove(place, values.file)


EXERCISES = (
    Exercise(
        "07.1",
        "A terminal in the background",
        "Start `{name}` in the background with a shell that waits at its own terminal, with "
        "its input kept open.",
        6,
        _draw_terminal,
        _judge_terminal,
    ),
    Exercise(
        "07.2",
        "A guest",
        "`{name}` runs already.  Start a process in it that sleeps for {seconds} seconds and is "
        "not a child of the container's processes.",
        6,
        _draw_guest,
        _judge_guest,
        _scene_guest,
    ),
    Exercise(
        "07.3",
        "Say a word, and leave",
        "`{name}` runs already; its first process repeats what it hears.  Say the word {word} to "
        "it, on a separate line, and leave it running.",
        6,
        _draw_attach,
        _judge_attach,
        _scene_attach,
    ),
    Exercise(
        "07.4",
        "Another entry point",
        "The image `{image}` says a number.  Start `{name}` from this image, so that it sleeps for "
        "that number of seconds ({seconds}) instead.",
        6,
        _draw_words,
        _judge_words,
        _scene_words,
    ),
    Exercise(
        "07.5",
        "The same one, under another name",
        "`{old}` runs already.  From now on it is called `{new}`, and it does not notice.",
        5,
        _draw_names,
        _judge_names,
        _scene_names,
    ),
    Exercise(
        "07.6",
        "As short as possible",
        "Among the containers `{name}-1`, `{name}-2` and so on, two have ids that begin with the "
        "same digit.  Write a file `{file}` beside this notebook with two lines: for each of these "
        "two the shortest beginning of its id that the engine takes for it alone.",
        6,
        _draw_short,
        _judge_short,
        _scene_short,
        _tidy_short,
    ),
)
