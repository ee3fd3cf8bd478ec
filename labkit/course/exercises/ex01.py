"""Exercises of chapter 1: virtual machine and container.  The judge measures what they take."""

import time
from statistics import median

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import folders, missed, running, sleeper, trials
from labkit.course.exercises.place import Place

KB, MIB = 1000, 1 << 20
MOST_MIB = 12
"""For all sleepers together: far less than one virtual machine takes before it does anything."""
IMAGE_BYTES = 100 * KB
TTL = "/proc/sys/net/ipv4/ip_default_ttl"
SIGKILLED = 137

_COUNT = Lesson(
    "A container is an ordinary process: it needs no memory for another kernel.",
    "chapter 1, section How many fit",
    "the containers that the engine lists as running, by their names",
)
_MEMORY = Lesson(
    "Pages that several processes share are in memory once; each process counts its part.",
    "chapter 1, section How many fit",
    "the line Pss in /proc/PID/smaps_rollup of each process",
)
_LIFE = Lesson(
    "A container lasts as long as its first process.",
    "chapter 1, section Whose kernel",
    "the state that the engine lists for it",
)
_SETTING = Lesson(
    "There is one kernel, but some of its settings belong to a namespace: those of the network.",
    "chapter 1, section Whose kernel",
    "the file /proc/sys/net/ipv4/ip_default_ttl, inside and outside",
)
_ENDED = Lesson(
    "A container's process is a process of the host: it has a number there, and gets signals.",
    "chapter 1, section Whose kernel",
    "the host's number of its first process, and the exit status",
)
_SILENT = Lesson(
    "The engine records its clients' requests: a process that ends without one is no such event.",
    "chapter 1, section Whose kernel",
    "the events of this container",
)
_RECORDS = Lesson(
    "A few slow starts move the mean, but not the median: half of the starts took longer.",
    "chapter 1, section A race",
    "the column ms of the file, sorted for each kind",
)
_SMALL = Lesson(
    "An image needs no operating system: one program that asks the kernel directly is enough.",
    "chapter 1, section Under the hood",
    "the size of your image, and the files that the program in it needs",
)


def _draw_many(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("sleeper"), "count": dice.randrange(4, 8), "most": MOST_MIB}


def _judge_many(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    names = [one.name for one in place.client.containers.list()]
    seen = [place.container(name) for name in names if name.startswith(values.name)]
    alive = [one for one in seen if one is not None and one.is_alive]
    what, is_many = f"running containers called {values.name}-…", len(alive) >= values.count
    found.add(what, f"{values.count} or more", len(alive), 3, _COUNT, met=is_many)
    spaces = {one.namespace("pid") for one in alive} - {0, place.namespace("pid")}
    pids = [pid for pid in processes.every() if processes.namespace(pid, "pid") in spaces]
    size = sum(map(_pss, pids)) / MIB
    is_little = is_many and len(spaces) >= values.count and size < MOST_MIB
    wanted = f"less than {MOST_MIB} MiB"
    what, text = "the memory of all their processes", f"{size:.1f} MiB"
    found.add(what, wanted, text, 4, _MEMORY, met=is_little)
    return found.all


def _pss(pid: int) -> int:
    """The memory of a process in bytes, shared pages in parts; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            sizes = [line.split()[1] for line in file if line.startswith("Pss:")]
    except OSError:
        return 0
    return int(sizes[0]) * 1024 if sizes else 0


def _draw_setting(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("tuned"), "ttl": dice.randrange(70, 250)}


def _scene_setting(place: Place, values: Values) -> Memo:
    return {"host": _ttl(place.kernel_pid)}


def _judge_setting(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 1, _LIFE)
    inside, outside = "net.ipv4.ip_default_ttl in it", "the same setting of the host"
    before = memo.get("host", "64")
    if seen is None:
        return missed(found, (inside, values.ttl, 4, _SETTING), (outside, before, 2, _SETTING))
    is_set = found.add(inside, str(values.ttl), _ttl(seen.pid), 4, _SETTING)
    now = _ttl(place.kernel_pid)
    found.add(outside, before, now, 2, _SETTING, met=is_set and now == before)
    return found.all


def _ttl(pid: int) -> str:
    def look() -> str:
        with open(TTL, encoding="ascii") as file:
            return file.read().strip()

    try:
        return processes.inside(pid, ("net",), look)
    except OSError:
        return "cannot be read"


def _draw_ended(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("mortal")}


def _scene_ended(place: Place, values: Values) -> Memo:
    sleeper(place, values.name)
    return {}


def _judge_ended(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = place.container(values.name)
    what, engine = f"how {values.name} ended", "the requests to the engine"
    wanted = "its process was killed"
    if seen is None:
        found.add(what, wanted, "it was removed", 3, _ENDED, met=False)
        return missed(found, (engine, "nothing", 3, _SILENT))
    code = int(seen.attrs["State"]["ExitCode"])
    text = "it runs" if seen.is_alive else wanted if code == SIGKILLED else f"with status {code}"
    is_killed = found.add(what, wanted, text, 3, _ENDED)
    filters = {"container": seen.id, "type": "container"}
    events = place.client.events(since=1, until=time.time(), filters=filters)
    asked = sorted({str(each.get("Action")) for each in events} & {"kill", "stop", "restart"})
    text = ", ".join(asked) or "nothing"
    found.add(engine, "nothing", text, 3, _SILENT, met=is_killed and not asked)
    return found.all


def _draw_tiny(dice: Dice) -> dict[str, object]:
    return {"image": dice.name("tiny"), "line": f"{dice.word()} {dice.word()}"}


def _judge_tiny(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    trial = trials.run(place, values, values.image)
    says = trial.code == 0 and trial.output.strip() == values.line
    found.add("its output", repr(values.line), trial, 3, _SMALL, met=says)
    attrs = place.image(values.image)
    size = attrs["Size"] if attrs else 0
    text = f"{size / KB:.0f} kB" if attrs else "nothing to look at"
    is_small = says and size < IMAGE_BYTES
    found.add("its size", f"less than {IMAGE_BYTES // KB} kB", text, 4, _SMALL, met=is_small)
    return found.all


STARTS = 9


def _draw_records(dice: Dice) -> dict[str, object]:
    return {
        "records": f"starts-{dice.mark}.csv",
        "file": f"answer-{dice.mark}",
        "_vm": [dice.randrange(1500, 4000) for _ in range(STARTS)],
        "_container": [dice.randrange(20, 400) for _ in range(STARTS)],
    }


def _scene_records(place: Place, values: Values) -> Memo:
    rows = [
        f"{number},{kind},{took}"
        for number, pair in enumerate(zip(values["_vm"], values["_container"], strict=True), 1)
        for kind, took in zip(("vm", "container"), pair, strict=True)
    ]
    text = "\n".join(("run,kind,ms", *rows, ""))
    folders.write(place, {values.records: text.encode()})
    return {}


def _judge_records(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    data = place.read_file(values.file, 4096)
    lines = (data or b"").decode("utf-8", "replace").split("\n")
    said = dict(line.split(maxsplit=1) for line in lines if len(line.split()) == 2)
    middle = {kind: median(values[f"_{kind}"]) for kind in ("vm", "container")}
    wanted = {**middle, "times": middle["vm"] / middle["container"]}
    for name, points in (("vm", 2), ("container", 2), ("times", 2)):
        number = said.get(name, "").strip()
        is_met = _is_near(number, wanted[name], 0.05 if name == "times" else 0)
        text = "no such file" if data is None else number or "no such line"
        asked = "the factor" if name == "times" else "the median of its starts, in ms"
        found.add(f"the line {name}", asked, text, points, _RECORDS, met=is_met)
    return found.all


def _is_near(number: str, wanted: float, part: float) -> bool:
    try:
        return abs(float(number) - wanted) <= part * wanted
    except ValueError:
        return False


def _tidy_records(place: Place, values: Values) -> None:
    folders.remove(place, values.records, values.file)


EXERCISES = (
    Exercise(
        "01.1",
        "Many, in less than one machine",
        "Start at least {count} containers that sleep, called `{name}-1`, `{name}-2` and so on.  "
        "All their processes together take less than {most} MiB of memory.",
        7,
        _draw_many,
        _judge_many,
    ),
    Exercise(
        "01.2",
        "Its own setting",
        "Start a container `{name}` that keeps running, and in which the kernel's setting "
        "`net.ipv4.ip_default_ttl` is {ttl}.  The host's value stays as it is.",
        7,
        _draw_setting,
        _judge_setting,
        _scene_setting,
    ),
    Exercise(
        "01.3",
        "Ended from outside",
        "`{name}` runs already.  Kill its process, as a process of the host, without asking the "
        "engine for it.",
        6,
        _draw_ended,
        _judge_ended,
        _scene_ended,
    ),
    Exercise(
        "01.4",
        "Less than 100 kB",
        "Build an image `{image}` of less than 100 kB that prints the line `{line}`.",
        7,
        _draw_tiny,
        _judge_tiny,
    ),
    Exercise(
        "01.5",
        "Two sets of starts",
        "Beside this notebook, `{records}` has the times of starts of a virtual machine and of a "
        "container.  Write a file `{file}` with three lines: `vm`, a space and the median of its "
        "times; `container`, a space and its median; `times`, a space and how many times longer "
        "the virtual machine's median is.",
        6,
        _draw_records,
        _judge_records,
        _scene_records,
        _tidy_records,
    ),
)
