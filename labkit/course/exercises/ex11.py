"""Exercises of chapter 11: namespaces.  The judge compares their inodes, and looks from inside."""

import os
import time
from contextlib import suppress

from labkit.course.exercises import processes
from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import Finding, Findings, Lesson
from labkit.course.exercises.looks import clock, folders, missed, running, sleeper, trials
from labkit.course.exercises.place import Place, Seen
from labkit.errors import LabkitError

_LIFE = Lesson(
    "Namespaces last as long as a process is in them.",
    "chapter 11, section A number for every namespace",
    "the state that the engine lists for the container",
)
_SHARED = Lesson(
    "Two processes share a namespace if the kernel has the same number for it.",
    "chapter 11, section A number for every namespace",
    "the links in /proc/PID/ns of both",
)
_OWN = Lesson(
    "Each kind of namespace is chosen by itself; the others stay apart.",
    "chapter 11, section A number for every namespace",
    "the links in /proc/PID/ns of both",
)
_ENTER = Lesson(
    "A process can join one namespace of another process and keep its own files.",
    "chapter 11, section Its own interfaces",
    "the links net and mnt in /proc/PID/ns of your process",
)
_USERS = Lesson(
    "A user namespace maps numbers: root inside is an ordinary number outside.",
    "chapter 11, section Root, and nobody",
    "the file /proc/PID/uid_map of your process",
)
_FIRST = Lesson(
    "The first process of a PID namespace has the number 1 in there, and another one outside.",
    "chapter 11, section One process, two numbers",
    "the line NSpid in /proc/PID/status",
)
_PROC = Lesson(
    "/proc shows the PID namespace of the process that mounted it.",
    "chapter 11, section One process, two numbers",
    "the file /proc/PID/mountinfo of your process, and number 1 of its /proc",
)
_INIT = Lesson(
    "Process 1 starts the program that the container is for, and stays beside it.",
    "chapter 11, section The duties of process 1",
    "the processes of a container that your script starts, with their parents",
)
_REAP = Lesson(
    "A process whose parent has ended becomes a child of process 1, which must wait for it.",
    "chapter 11, section The duties of process 1",
    "the line State in /proc/PID/status of the children of process 1",
)
_STOP = Lesson(
    "Process 1 gets only signals for which it has a handler, and its children get none.",
    "chapter 11, section The duties of process 1",
    "the line SigCgt of process 1, and what your script does when a signal arrives",
)
_IPC = Lesson(
    "Shared memory and semaphores belong to the IPC namespace: all processes in it see them.",
    "chapter 11, section Two containers, one semaphore",
    "the links ipc in /proc/PID/ns, and the folder /dev/shm in each of the three",
)


def _draw_pair(dice: Dice) -> dict[str, object]:
    return {"first": dice.name("first"), "second": dice.name("second")}


def _judge_pair(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    first = running(found, place, values.first, 1, _LIFE)
    second = running(found, place, values.second, 1, _LIFE)
    what = "their networks", "their processes"
    if first is None or second is None:
        return missed(found, (what[0], "one", 3, _SHARED), (what[1], "apart", 2, _OWN))
    net = first.namespace("net") == second.namespace("net") != place.namespace("net")
    is_hosts = first.namespace("net") == second.namespace("net") == place.namespace("net")
    text = "the host's" if is_hosts else "one" if net else "two"
    found.add(what[0], "one, and not the host's", text, 3, _SHARED, met=net)
    apart = first.namespace("pid") != second.namespace("pid")
    found.add(what[1], "apart", "apart" if apart else "shared", 2, _OWN, met=net and apart)
    return found.all


def _draw_visitor(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("quiet"), "seconds": dice.seconds()}


def _scene_visitor(place: Place, values: Values) -> Memo:
    sleeper(place, values.name)
    return {}


def _judge_visitor(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = running(found, place, values.name, 0, _LIFE)
    sleepers = place.started("sleep", str(values.seconds))
    what = f"the network of the process that sleeps for {values.seconds} s"
    files = "its files and its process numbers"
    if seen is None or not sleepers:
        text = "there is no such process"
        found.add(what, f"that of {values.name}", text, 4, _ENTER, met=False)
        return missed(found, (files, "the host's", 3, _ENTER))
    inside = [pid for pid in sleepers if processes.namespace(pid, "net") == seen.namespace("net")]
    text = f"that of {values.name}" if inside else "another"
    found.add(what, f"that of {values.name}", text, 4, _ENTER, met=bool(inside))
    pid = (inside or sleepers)[0]
    own = all(processes.namespace(pid, kind) == place.namespace(kind) for kind in ("mnt", "pid"))
    text = "the host's" if own else "others"
    found.add(files, "the host's", text, 3, _ENTER, met=bool(inside) and own)
    return found.all


def _draw_users(dice: Dice) -> dict[str, object]:
    return {
        "seconds": dice.seconds(),
        "uid": 100_000 + dice.randrange(1, 50) * 1000,
        "file": f"/tmp/made-{dice.mark}",  # noqa: S108  where every user may write
    }


def _judge_users(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    sleepers = place.started("sleep", str(values.seconds))
    wanted = place.outside(values.uid)
    what = f"root of the process that sleeps for {values.seconds} s"
    mapped = [pid for pid in sleepers if _root_of(pid) == wanted]
    roots = {_root_of(pid) for pid in sleepers}
    text = "there is no such process" if not sleepers else _shown_users(place, roots)
    found.add(what, f"{values.uid} outside", text, 4, _USERS, met=bool(mapped))
    owner = _owner(place, values.file)
    text = "there is no such file" if owner is None else f"owned by {owner}"
    is_met = bool(mapped) and owner == values.uid
    found.add(f"the file {values.file}", f"owned by {values.uid}", text, 2, _USERS, met=is_met)
    return found.all


def _root_of(pid: int) -> int:
    """The number outside, as this process sees it, of user 0 in the process's user namespace."""
    try:
        with open(f"/proc/{pid}/uid_map") as file:
            for line in file:
                inside, outside, _ = map(int, line.split())
                if inside == 0:
                    return outside
    except OSError:
        pass
    return -1


def _shown_users(place: Place, roots: set[int]) -> str:
    base = place.outside(0)
    return ", ".join(f"{root - base} outside" for root in sorted(roots) if root >= 0) or "no root"


def _owner(place: Place, name: str) -> int | None:
    """The owner of a file, in the numbers of the learner."""

    def look() -> int | None:
        try:
            return os.lstat(name).st_uid
        except OSError:
            return None

    owner = place.among_files(look)
    return None if owner is None else owner - place.outside(0)


def _tidy_users(place: Place, values: Values) -> None:
    def remove() -> None:
        with suppress(FileNotFoundError):
            os.unlink(values.file)

    place.among_files(remove)


def _draw_first(dice: Dice) -> dict[str, object]:
    return {"name": dice.name("first"), "seconds": dice.seconds()}


def _judge_first(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    sleepers = place.started("sleep", str(values.seconds))
    what = f"the number of the process that sleeps for {values.seconds} s, in its own namespace"
    own = [pid for pid in sleepers if processes.status(pid).get("NSpid", "").split()[-1:] == ["1"]]
    alone = [pid for pid in own if processes.namespace(pid, "pid") != place.namespace("pid")]
    text = "there is no such process" if not sleepers else "1" if alone else "another one"
    found.add(what, "1", text, 3, _FIRST, met=bool(alone))
    engine = _is_engines(alone[0]) if alone else False
    text = "nothing to look at" if not alone else "the engine" if engine else "you"
    found.add("its starter", "you, not the engine", text, 1, _FIRST, met=bool(alone) and not engine)
    sees = bool(alone) and not engine and _sees_itself(place, alone[0])
    text = "nothing to look at" if not alone else "its own" if sees else "that of others"
    found.add("its /proc", "its own", text, 3, _PROC, met=sees)
    return found.all


def _is_engines(pid: int) -> bool:
    """Whether the process is in a container: then its group has the container's id as its name."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            return any(len(line.strip().rpartition("/")[2]) == 64 for line in file)
    except OSError:
        return False


def _sees_itself(place: Place, pid: int) -> bool:
    """Whether number 1 of the process's own /proc is the process itself."""
    try:
        inside = os.stat(f"/proc/{pid}/root/proc/1/ns/pid").st_ino
    except OSError:
        return False
    own_mounts = processes.namespace(pid, "mnt") != place.namespace("mnt")
    return own_mounts and inside == processes.namespace(pid, "pid")


def _draw_three(dice: Dice) -> dict[str, object]:
    names = {name: dice.name(name) for name in ("one", "two", "three")}
    return {**names, "word": f"{dice.word()}-{dice.mark}"}


def _judge_three(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    seen = [running(found, place, values[name], 1, _LIFE) for name in ("one", "two", "three")]
    one, two, three = seen
    shared, file = "their shared memory", f"the file /dev/shm/{values.word}"
    told = f"{values.one} and {values.two} share it, {values.three} does not"
    where = f"in {values.one} and {values.two} alone"
    if one is None or two is None or three is None:
        return missed(found, (shared, told, 3, _IPC), (file, where, 2, _IPC))
    first, second, third = (each.namespace("ipc") for each in (one, two, three))
    is_met = first == second and third not in (first, 0)
    numbers = len({first, second, third})
    others = {1: "all three share it", 2: "others share it", 3: "each has its own"}
    text = told if is_met else others[numbers]
    found.add(shared, told, text, 3, _IPC, met=is_met)
    has = [
        each.name
        for each in (one, two, three)
        if os.path.lexists(f"/proc/{each.pid}/root/dev/shm/{values.word}")
    ]
    text = f"in {', '.join(has) or 'none of them'}"
    found.add(file, where, text, 2, _IPC, met=is_met and has == [one.name, two.name])
    return found.all


MOST_LINES = 20
ORPHANS = "(sleep 0.05 &); (sleep 0.05 &); exec sleep 1000"
"""Its two first processes lose their parent, and end."""
LAST_WORDS = ("sleep", "1000")
GRACE_S = 3
ZOMBIE, KILLED = "Z", 137
SETTLE_S = 1.0


def _draw_init(dice: Dice) -> dict[str, object]:
    return {"file": f"init-{dice.mark}", "most": MOST_LINES}


def _judge_init(place: Place, values: Values, memo: Memo) -> list[Finding]:
    found = Findings()
    script = place.read_file(values.file, 1 << 16)
    lines = len([line for line in (script or b"").splitlines() if line.strip()])
    wanted = f"at most {MOST_LINES}"
    text = "there is no such file" if script is None else str(lines)
    is_short = found.add("its lines", wanted, text, 1, _INIT, met=0 < lines <= MOST_LINES)
    words, left = "the program that it must start", "zombies that it leaves"
    stop = f"when it is stopped, within {GRACE_S} s"
    if script is None or not is_short:
        return missed(
            found, (words, "runs", 2, _INIT), (left, "0", 2, _REAP), (stop, "ends", 3, _STOP)
        )
    name = f"trial-{values.mark}"
    container = place.client.containers.create(
        "busybox", ["sh", "-c", ORPHANS], name=name, entrypoint=["/bin/sh", "/init"]
    )
    try:
        container.put_archive("/", trials.archive({"init": script}))
        container.start()
        seen = Seen(place.client.containers.get(container.id).attrs)
        children = _settled(seen)
        runs = any(processes.words_of(pid)[:1] == ("sleep",) for pid in (*children, seen.pid))
        runs = found.add(words, "runs", "runs" if runs else "does not run", 2, _INIT)
        if not runs:
            return missed(found, (left, "0", 2, _REAP), (stop, "ends", 3, _STOP))
        dead = [pid for pid in children if processes.status(pid).get("State", "")[:1] == ZOMBIE]
        found.add(left, "0", str(len(dead)), 2, _REAP)
        with suppress(LabkitError):  # it may have ended in this moment
            container.stop(GRACE_S)
        container.reload()
        code = int(container.attrs["State"]["ExitCode"])
        text = "it had to be killed" if code == KILLED else "ends"
        found.add(stop, "ends", text, 3, _STOP)
    finally:
        container.remove(force=True)
    return found.all


def _settled(seen: Seen) -> list[int]:
    """The children of a container's first process, once the program runs without orphans.

    A zombie is left if it is still there after a while in which the machine was not busy: a good
    script also needs a moment to take it away.
    """
    time_here = clock.Clock(lambda: 0.0)
    while True:
        parents = {pid: processes.status(pid).get("PPid") for pid in processes.every()}
        children = [pid for pid, parent in parents.items() if parent == str(seen.pid)]
        words = {pid: processes.words_of(pid) for pid in (*children, seen.pid)}
        # The program starts its orphans before its last words.
        others = [pid for pid in children if words[pid] != LAST_WORDS]
        is_settled = LAST_WORDS in words.values() and not others
        if is_settled or time_here.now() > SETTLE_S:
            return children
        time.sleep(0.05)


def _tidy_init(place: Place, values: Values) -> None:
    folders.remove(place, values.file)


EXERCISES = (
    Exercise(
        "11.1",
        "One network, two sets of processes",
        "Start `{first}` and `{second}` from `busybox` so that both share one network, but not "
        "the host's, and neither sees the other's processes.  Leave them running.",
        7,
        _draw_pair,
        _judge_pair,
    ),
    Exercise(
        "11.2",
        "A visitor from the host",
        "`{name}` runs already.  Start a process of the *host* that sleeps for {seconds} seconds "
        "in the network of `{name}`, and in nothing else of it.",
        7,
        _draw_visitor,
        _judge_visitor,
        _scene_visitor,
    ),
    Exercise(
        "11.3",
        "Root inside, a number outside",
        "Start a process that sleeps for {seconds} seconds in its own user namespace, where "
        "root is the host's user {uid}.  That root makes the file `{file}`.",
        6,
        _draw_users,
        _judge_users,
        tidy=_tidy_users,
    ),
    Exercise(
        "11.4",
        "Number one, without an engine",
        "Without the engine, start a process that sleeps for {seconds} seconds, is number 1 of its "
        "PID namespace, and has a /proc that shows that.",
        7,
        _draw_first,
        _judge_first,
    ),
    Exercise(
        "11.5",
        "Two of three share memory",
        "Start `{one}`, `{two}` and `{three}`.  `{one}` and `{two}` share their System V memory "
        "and /dev/shm, `{three}` has its own.  Make the file /dev/shm/{word}, which the first two "
        "see and the third does not.",
        8,
        _draw_three,
        _judge_three,
    ),
    Exercise(
        "11.6",
        "An init of your own",
        "Write a shell script `{file}` beside this notebook, of at most {most} lines that are not "
        "empty.  It is process 1 of a container, starts the words after its name as a program, and "
        "leaves no zombie.  When the container is stopped, the program ends, and so does the "
        "script.  The check tries it in `busybox`.",
        8,
        _draw_init,
        _judge_init,
        tidy=_tidy_init,
    ),
)
