"""Exercises of chapter 10: cgroups.  The judge reads the files of groups, and asks the kernel."""

import os
from contextlib import suppress

from labkit.cgroups.shares import weight_from_shares
from labkit.course.cgroups import groups
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson, MachineFaultError
from labkit.course.exercises.looks import folders, missed, sleeper, trials
from labkit.course.exercises.place import Place
from labkit.errors import LabkitError

MIB = 1024 * 1024
PERIOD_US = 100_000

_FOLDER = Lesson(
    "A group is a folder: making the folder makes the group, and a number written into its list "
    "of processes moves that process.",
    "chapter 10, section The same by hand",
    "the file /proc/PID/cgroup of your process, and cgroup.procs in your folder",
)
_FILE = Lesson(
    "Each limit is a file of the group, and the kernel reads it at the next decision.",
    "chapter 10, section Each flag is a file",
    "the file pids.max in your folder; on cgroup v2 the parent's cgroup.subtree_control as well",
)
_FROZEN = Lesson(
    "The kernel freezes a whole group when one word is written into one of its files; a signal "
    "stops processes one by one, and does not freeze them.",
    "chapter 10, section The same by hand",
    "the file freezer.state (cgroup v2: cgroup.freeze) in the folder named by the container's id",
)
_RECORD = Lesson(
    "The engine keeps its own record of a container's state, and changes it only when it is asked.",
    "chapter 10, section The same by hand",
    "the state that the engine lists, beside the file in the group's folder",
)
_WHOSE = Lesson(
    "The kernel says for each process in which group it is, and an engine's groups are named by "
    "the container's id.",
    "chapter 10, section A folder named by the id",
    "the file /proc/PID/cgroup of the process",
)
_TREES = Lesson(
    "The type of each mount says which version it is; a machine may have mounts of both types.",
    "chapter 10, section Version 1, version 2, and both",
    "the word after the hyphen in each line of mountinfo (proc(5)), and only that word",
)
_SCALE = Lesson(
    "Version 2 has other files with other units, so each flag is translated.",
    "chapter 10, section Version 1, version 2, and both",
    "the units of cpu.weight, cpu.max and memory.max, and their values for the default",
)


def _draw_by_hand(dice: Dice) -> dict[str, object]:
    most = dice.randrange(20, 90)
    return {"group": dice.name("hand"), "most": most, "seconds": dice.seconds()}


def _judge_by_hand(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    sleepers = place.started("sleep", str(values.seconds))
    what = f"the group of the process that sleeps for {values.seconds} s"
    limit = "the most processes that the group may have"
    seen = {pid: folder for pid in sleepers if (folder := _group_of(pid))}
    inside = [folder for folder in seen.values() if os.path.basename(folder) == values.group]
    text = "there is no such process" if not sleepers else "another group"
    text = values.group if inside else text
    is_in = found.add(what, values.group, text, 4, _FOLDER)
    if not is_in:
        return missed(found, (limit, values.most, 3, _FILE))
    found.add(limit, str(values.most), _read(f"{inside[0]}/pids.max"), 3, _FILE)
    return found.all


def _group_of(pid: int) -> str:
    """The folder of a process's group for the controller pids; "" if it has ended."""
    try:
        return groups.place_of(pid, "pids").folder
    except LabkitError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "no such file"


def _draw_frozen(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("busy")}


def _scene_frozen(place: Place, values: Values) -> Memo:
    sleeper(place, values.name)
    return {}


def _judge_frozen(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = place.container(values.name)
    kernel, engine = "its processes, in the kernel", "its state, in the engine"
    if seen is None or not seen.is_alive:
        text = "they have ended"
        found.add(kernel, "frozen", text, 4, _FROZEN)
        return missed(found, (engine, "running", 3, _RECORD))
    text = seen.read("freezer", "freezer.state", "cgroup.events")
    is_frozen = text == "FROZEN" or "frozen 1" in text.splitlines()
    found.add(kernel, "frozen", "frozen" if is_frozen else "not frozen", 4, _FROZEN)
    # An untouched container is running, too: this counts only for a frozen one.
    is_met = is_frozen and seen.status == "running"
    found.add(engine, "running", seen.status, 3, _RECORD, met=is_met)
    return found.all


def _tidy_frozen(place: Place, values: Values) -> None:
    """Thaw it, so that the engine can end it."""
    seen = place.container(values.name)
    if seen is None or not seen.is_alive:
        return
    with suppress(LabkitError, OSError):
        group = groups.place_of(seen.pid, "freezer")
        file, word = {1: ("freezer.state", "THAWED"), 2: ("cgroup.freeze", "0")}[group.version]
        with open(f"{group.folder}/{file}", "w") as freezer:
            freezer.write(word)


_TRIO = "first", "second", "third"


def _draw_whose(dice: Dice) -> dict[str, object]:
    return {name: dice.name(name) for name in _TRIO} | {"seconds": dice.seconds()}


def _scene_whose(place: Place, values: Values) -> Memo:
    names = [values[name] for name in _TRIO]
    owner = names[int(values.seconds) % len(names)]
    memo: Memo = {"owner": owner}
    for name in names:
        seen = sleeper(place, name)
        memo[name] = [seen.id, seen.pid, seen.began]
        if name == owner:
            made = place.client.api.post(
                f"/containers/{seen.id}/exec", {"Cmd": ["sleep", str(values.seconds)]}
            )
            place.client.api.post(f"/exec/{made['Id']}/start", {"Detach": True})
    return memo


def _judge_whose(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    owner = memo.get("owner", "")
    what = f"the container whose process sleeps for {values.seconds} s"
    seen = place.container(owner)
    has_ended = bool(owner) and (seen is None or not seen.is_alive)
    found.add(what, "ended", "ended" if has_ended else "still there", 3, _WHOSE)
    others = [values[name] for name in _TRIO if values[name] != owner]
    alive = [name for name in others if _is_as_noted(place, name, memo)]
    is_met = has_ended and alive == others
    text = f"{len(alive)} of {len(others)} run as before"
    found.add("the two others", "2 of 2 run as before", text, 3, _WHOSE, met=is_met)
    return found.all


def _is_as_noted(place: Place, name: str, memo: Memo) -> bool:
    seen = place.container(name)
    return seen is not None and memo.get(name) == [seen.id, seen.pid, seen.began]


def _draw_reader(dice: Dice) -> dict[str, object]:
    return {"file": f"version-{dice.mark}.sh", "mounts": f"/{dice.word()}"}


def trees(folder: str) -> dict[str, str]:
    """The mountinfo of three machines by the script's right output; mounts are in `folder`."""
    root = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
    old = [
        f"{at} 25 0:{at} / {folder}/{name} rw,nosuid shared:{at} - cgroup cgroup rw,{name}"
        for at, name in enumerate(("cpu", "memory", "pids", "freezer"), 30)
    ]
    new = f"40 25 0:40 / {folder}/unified rw,nosuid shared:40 - cgroup2 cgroup2 rw,nsdelegate"
    disk = "60 21 8:2 / {} rw,relatime shared:60 - ext4 /dev/sdb1 rw"
    return {
        "1": "\n".join([root, *old, disk.format("/mnt/cgroup2"), ""]),
        "2": "\n".join([root, new, disk.format("/mnt/cgroup"), ""]),
        "hybrid": "\n".join([root, *old, new, ""]),
    }


def version_of(mountinfo: str) -> str:
    """The word that the script must print for a mountinfo."""
    kinds = {line.partition(" - ")[2].split(" ")[0] for line in mountinfo.splitlines()}
    kinds &= {"cgroup", "cgroup2"}
    return "hybrid" if len(kinds) == 2 else "2" if "cgroup2" in kinds else "1"


def _judge_reader(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    script = place.read_file(values.file)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        live = file.read()
    asked = trees(values.mounts) | {"live": live}
    said = dict.fromkeys(asked, "there is no such script")
    if script is not None:
        files = {f"{name}.txt": text.encode() for name, text in asked.items()}
        loop = " ".join(asked)
        line = f'for each in {loop}; do echo "$each" $(sh /script.sh /$each.txt 2>&1); done'
        trial = trials.run(
            place, values, "busybox", ["sh", "-c", line], {**files, "script.sh": script}
        )
        if trial.code == trials.NEVER_STARTED:  # the image is the lab's own, not the learner's
            raise MachineFaultError(trial.output)
        pairs = (line.partition(" ") for line in trial.output.splitlines())
        said = dict.fromkeys(asked, str(trial) if trial.code == trials.NEVER_ENDED else "nothing")
        said |= {name: answer.strip() or "nothing" for name, _, answer in pairs if name in asked}
    names = {"1": "version 1 alone", "2": "version 2 alone", "hybrid": "both versions"}
    right = [
        found.add(f"its output for a machine with {names[each]}", each, said[each], 2, _TREES)
        for each in names
    ]
    wanted = version_of(live)
    is_met = all(right) and said["live"] == wanted
    found.add("its output for this machine", wanted, said["live"], 1, _TREES, met=is_met)
    return found.all


def _tidy_file(place: Place, values: Values) -> None:
    folders.remove(place, values.file)


def _draw_translated(dice: Dice) -> dict[str, object]:
    return {
        "file": f"translated-{dice.mark}",
        "shares": dice.choice([256, 512, 1536, 2048, 3072]),
        "cpus": dice.choice(["0.25", "0.5", "0.75", "1.5"]),
        "memory": dice.randrange(30, 200),
    }


def _judge_translated(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    text = (place.read_file(values.file, 4096) or b"").decode("utf-8", "replace")
    said = {name: value.split() for name, _, value in map(_halves, text.splitlines())}
    quota = round(float(values.cpus) * PERIOD_US)
    asked = {
        "cpu.weight": [str(weight_from_shares(values.shares))],
        "cpu.max": [str(quota), str(PERIOD_US)],
        "memory.max": [str(values.memory * MIB)],
    }
    for file, wanted in asked.items():
        is_met = said.get(file) == wanted
        text = " ".join(said.get(file, ["no such line"]))[:40]
        # The expected value is the answer: a hint does not give it.
        found.add(file, "labkit's text for this flag", text, 2, _SCALE, met=is_met)
    return found.all


def _halves(line: str) -> tuple[str, str, str]:
    return line.strip().partition(" ")


EXERCISES = (
    Exercise(
        "10.1",
        "A group by hand",
        "Without the engine, make a control group named `{group}` that may have at most {most} "
        "processes, and start a process in it that sleeps for {seconds} seconds.",
        7,
        _draw_by_hand,
        _judge_by_hand,
    ),
    Exercise(
        "10.2",
        "Frozen behind the engine's back",
        "`{name}` runs already.  Freeze all of its processes in such a way that the engine still "
        "lists it as running.",
        7,
        _draw_frozen,
        _judge_frozen,
        _scene_frozen,
        _tidy_frozen,
    ),
    Exercise(
        "10.3",
        "Whose process is it?",
        "`{first}`, `{second}` and `{third}` run already.  In one of them, a process sleeps for "
        "{seconds} seconds.  Find out in which one, and end that container; the two others keep "
        "running.",
        6,
        _draw_whose,
        _judge_whose,
        _scene_whose,
    ),
    Exercise(
        "10.4",
        "Version 1, version 2, or both",
        "Write a shell script `{file}` in your folder (`{folder}`).  It is started with the name "
        "of a file in the format of /proc/self/mountinfo, and prints one word: `1` if all the "
        "control groups mounted there are of version 1, `2` if they are of version 2, `hybrid` if "
        "both are mounted.  The check runs it in a busybox container.",
        7,
        _draw_reader,
        _judge_reader,
        tidy=_tidy_file,
    ),
    Exercise(
        "10.5",
        "Three translations",
        "A container is started with {shares} CPU shares, {cpus} CPUs and {memory} MiB of memory.  "
        "Write a file `{file}` in your folder with three lines: what labkit writes on cgroup v2 "
        "into `cpu.weight`, `cpu.max` and `memory.max` for it.  Each line has the name of the "
        "file, a space, and the file's text.",
        6,
        _draw_translated,
        _judge_translated,
        tidy=_tidy_file,
    ),
)
