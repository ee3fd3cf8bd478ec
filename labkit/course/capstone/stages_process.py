"""Stages 1 to 4: a process, its root, its numbers, its name."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from labkit.course.capstone import looks
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.given import DEVICES, ENVIRONMENT, SIGNALS
from labkit.course.capstone.place import HOSTS_NAME, MARK, PATIENCE_S, Place, until, words_of


def not_started(place: Place) -> Finding:
    """The finding for a container that did not start: the engine's last words."""
    return Finding(
        "the container's command",
        "running",
        f"not there; mini said: {place.said()}",
        "Run the same by hand in a terminal: `sudo python mini.py run --root FOLDER -- sleep 100`.",
        "labkit's errors name the call that failed and the path; `man 2 CALL` lists the reasons.",
    )


def run(place: Place) -> Iterator[Finding]:
    """Stage 1: the exit status and signals pass through."""
    idea = "A parent gets a number from wait(2) that holds two things: chapter 7, exit statuses."
    for script, what, expected in (
        ("exit 7", "the exit status of a command that ends with 7", 7),
        ("kill -9 $$", "the exit status of a command that SIGKILL ended", 137),
    ):
        found = place.run("run", "--root", place.root, "--", "sh", "-c", script)
        yield Finding(
            what,
            str(expected),
            str(found) + ("" if found == expected else f"; mini said: {place.said()}"),
            idea,
            "os.waitstatus_to_exitcode gives a negative number for a signal.",
        )
    found = place.run("run", "--root", place.root, "--", "there-is-no-such-program")
    yield Finding(
        "the exit status if there is no such program",
        "127",
        str(found),
        "A shell answers 127 to that. The child finds it out, after the fork.",
        "execve(2) in the child: what does the child do if that call fails?",
    )
    yield from _signals(place)


def _signals(place: Place) -> Iterator[Finding]:
    command = ("sleep", "4001")
    pid = place.box(*command)
    if not pid:
        yield not_started(place)
        return
    mini = place.started[-1]
    yield Finding(
        "the command's process",
        "not mini's",
        "mini itself" if pid == mini.pid else "not mini's",
        "mini has work to do when the command has ended, so it cannot become the command.",
        "fork(2) comes before execve(2).",
    )
    yield Finding(
        "the command's variables",
        words_in(ENVIRONMENT),
        words_in(looks.variables(pid)),
        "A child has its parent's variables, unless the call that starts it names others.",
        "os.execvpe takes them: given.ENVIRONMENT.",
    )
    place.ask_to_end(pid)
    yield Finding(
        "mini's exit status after a SIGTERM to mini",
        "143",
        _ending(mini),
        "The command can outlive mini: `docker stop` sends its signal to the command (chapter 8).",
        "signal.signal in the process that waits, for each signal of given.SIGNALS.",
    )
    is_gone = until(lambda: not words_of(pid), 2)
    yield Finding(
        "the command after that",
        "ended",
        "ended" if is_gone else "still running",
        "mini sends the signal to the command, and then waits again.",
        "os.kill, in the handler.",
    )
    if is_gone:
        yield from _each_signal(place)


def _ending(mini: "subprocess.Popen[bytes]") -> str:
    try:
        return str(mini.wait(PATIENCE_S / 2))
    except subprocess.TimeoutExpired:
        return "none: mini still runs"


def words_in(variables: Mapping[str, str]) -> str:
    """The names of variables, for a finding."""
    return ", ".join(sorted(variables)) or "none"


COUNTER = """
    n=0
    trap 'n=$((n+1))' HUP
    trap 'n=$((n+2))' INT
    trap 'n=$((n+4))' USR1
    trap 'n=$((n+8)); trap "n=\\$((n+16))" USR2; trap "" URG' USR2
    trap 'exit $n' TERM
    while :; do sleep 0.02; done"""
"""A command that counts its signals, and ends with the sum.  That it ignores SIGURG shows, in
/proc/<pid>/status, that the first SIGUSR2 has arrived."""
COUNTED = ("SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGUSR2 again")


def _each_signal(place: Place) -> Iterator[Finding]:
    command = ("sh", "-c", COUNTER)
    pid = place.box(*command)
    if not pid:
        yield not_started(place)
        return
    mini = place.started[-1]
    until(lambda: looks.catches(pid, signal.SIGTERM) or mini.poll() is not None)
    place.wait_for_handlers(pid, SIGNALS)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        mini.send_signal(number)
    until(lambda: looks.ignores(pid, signal.SIGURG) or mini.poll() is not None)
    for number in (signal.SIGUSR2, signal.SIGTERM):
        mini.send_signal(number)
    ended = _ending(mini)
    counted = int(ended) if ended.isdigit() and int(ended) < 1 << len(COUNTED) else 0
    arrived = [name for bit, name in enumerate(COUNTED) if counted >> bit & 1]
    yield Finding(
        "the signals that mini gets and the command counts, before a SIGTERM ends it",
        ", ".join(COUNTED),
        ", ".join(arrived) or f"none, and mini's exit status was {ended}",
        "The command gets the signal that mini got, each time that mini gets one.",
        "The first argument of the handler is the signal's number.",
    )


def root(place: Place) -> Iterator[Finding]:
    """Stage 2: its own root, and no way back."""
    before = looks.hosts_mounts()
    with _doors() as doors:
        pid = place.box("sleep", "4002", fds=doors)
    if not pid:
        yield not_started(place)
        return
    yield Finding(
        "the mount namespace",
        "its own",
        looks.own(pid, "mnt"),
        "A container needs its own table of mounts first: chapter 11, the six namespaces.",
        "the flags of processes.clone",
    )
    yield from _at_the_root(pid, before)
    inside = looks.those_inside(pid)
    yield Finding(
        "the working folder that the command starts in",
        "/",
        "/" if all(map(looks.starts_at_root, inside)) else "a folder of the host",
        "A new root does not move a process: from a working folder outside, `cd ..` goes on in the "
        "host's files.",
        "os.chdir, before and after mounts.pivot_root.",
    )
    yield _open_files(inside)
    place.ask_to_end(pid)
    until(lambda: place.started[-1].poll() is not None)
    boxes = place.boxes()
    yield Finding(
        "folders of containers, once the container has ended",
        "none",
        ", ".join(boxes) or "none",
        "mini makes given.folder(box.name), so mini removes it.",
        "given.remove_folder, in the process that waits for the container.",
    )
    place.end()
    left = sorted(set(looks.hosts_mounts()) - set(before))
    yield Finding("mounts on the host afterwards", "none", ", ".join(left) or "none")


@contextmanager
def _doors() -> Iterator[tuple[int, int]]:
    """Two open folders of the host: a low number and a high one."""
    low = os.open("/etc", os.O_RDONLY)
    high = fcntl.fcntl(low, fcntl.F_DUPFD, 200)
    try:
        yield low, high
    finally:
        os.close(low)
        os.close(high)


def _open_files(pids: Sequence[int]) -> Finding:
    return Finding(
        "open files that came from mini's caller",
        "none",
        looks.held_by(pids),
        "The caller of mini may have a folder of the host open. An open folder is a way out of "
        "any root: fchdir(2).",
        "Every number from 3 on must be closed before the command starts: labkit.kernel.processes.",
    )


def _at_the_root(pid: int, before: list[str]) -> Iterator[Finding]:
    own = sorted(os.listdir(f"/proc/{pid}/root"))
    seen = looks.names_at_root(pid)
    has_left = seen == own
    yield Finding(
        "the root of the mount namespace",
        "the container's",
        "the container's" if has_left else f"another one, with {', '.join(seen[:4])}…",
        "chroot(2) moves one process and leaves the namespace's root where it was: a judge that "
        "enters the namespace is in the host's files. Chapter 11 left out the step that "
        "matters, under --without.",
        "mounts.pivot_root",
    )
    table = looks.mount_table(pid)
    hosts = [mount.target for mount in table if mount.source == MARK]
    yield Finding(
        "mounts of the host in the container's table",
        "none",
        f"for example {hosts[0]}" if hosts else "none",
        "After pivot_root(2) the old root is still there, at the place you put it.",
        "mounts.unmount with MNT_DETACH",
    )
    leaked = sorted(set(looks.hosts_mounts()) - set(before))
    yield Finding(
        "the container's mounts, seen on the host",
        "nothing",
        f"for example {leaked[0]}" if leaked else "nothing",
        "A new mount namespace is a copy, and each copy of a shared mount repeats the "
        "mounts of the others (mount_namespaces(7), SHARED SUBTREES).",
        "The first mount of all: of `/`, with MS_REC and one more flag.",
    )


def numbers(place: Place) -> Iterator[Finding]:
    """Stage 3: its own process numbers, /proc, an init that reaps."""
    script = "(sleep 0.01 &); (sleep 0.01 &); (sleep 0.01 &); exec sleep 4003"
    with _doors() as doors:
        place.start("run", "--root", place.root, "--", "sh", "-c", script, fds=doors)
        pid = place.find(("sleep", "4003"))
    if not pid:
        yield not_started(place)
        return
    yield Finding(
        "the PID namespace",
        "its own",
        looks.own(pid, "pid"),
        "Its own numbers, from 1 on: chapter 11, one process, two numbers.",
        "the flags of processes.clone",
    )
    until(
        lambda: not place_has("0.01"), 3
    )  # the orphans have ended: now they are zombies, or reaped
    yield from _proc(pid)
    are_reaped = until(lambda: not _zombies(pid), 3)
    yield Finding(
        "processes that have ended and that no process waited for",
        "none",
        "none" if are_reaped else f"{len(_zombies(pid))} zombies",
        "An orphan is handed to process 1 of its namespace: chapter 11, the duties of process 1.",
        "Process 1 is a copy of mini that waits for *every* child, and ends with the command's.",
    )
    yield from _devices(pid)
    yield _open_files(looks.those_inside(pid))
    if are_reaped:
        yield from _signal_by_init(place, pid)
    place.end()
    found = place.run("run", "--root", place.root, "--", "sh", "-c", "sleep 4013 & exit 3")
    yield Finding("the status, if another process is still there", "3", str(found))
    is_gone = until(lambda: not place_has("4013"), 3)
    yield Finding(
        "that other process, once the command has ended",
        "gone",
        "gone" if is_gone else "still running",
        "When process 1 ends, the kernel ends all the others: chapter 11.",
        "Whose end does process 1 wait for?",
    )


def place_has(word: str) -> bool:
    """Whether a process has this word in its command line."""
    return any(
        word.encode() in words_of(int(name)).split(b"\0")
        for name in os.listdir("/proc")
        if name.isdigit()
    )


def _zombies(pid: int) -> list[int]:
    return [one for one in looks.those_inside(pid) if looks.status(one, "State")[:1] == "Z"]


def _proc(pid: int) -> Iterator[Finding]:
    kinds = [m.kind for m in looks.mount_table(pid) if m.target == "/proc"]
    try:
        shown = sorted(int(name) for name in os.listdir(f"/proc/{pid}/root/proc") if name.isdigit())
    except OSError:
        shown = []
    numbers = (looks.status(one, "NSpid").split()[-1:] for one in looks.those_inside(pid))
    there = sorted(int(number) for found in numbers for number in found)  # none if it has ended
    right = kinds != [] and shown == there and 1 in shown
    yield Finding(
        "the processes that /proc shows",
        "the container's",
        "the container's"
        if right
        else ("none: nothing is mounted there" if not kinds else f"{len(shown)}, the host's"),
        "A proc file system shows the PID namespace of the process that *mounted* it.",
        "mounts.mount of kind `proc`, by a process that is inside already.",
    )
    options = [set(m.options) for m in looks.mount_table(pid) if m.target == "/proc"]
    safe = {"nodev", "noexec", "nosuid"}
    yield Finding(
        "the options of the mount at /proc",
        ", ".join(sorted(safe)),
        ", ".join(sorted(safe & options[-1]))
        if options and safe & options[-1]
        else "none of these",
        "A file in /proc needs no device, no program and no other user: the host's has these, too.",
        "The flags of mounts.mount: MS_NODEV, MS_NOEXEC, MS_NOSUID.",
    )


def _signal_by_init(place: Place, pid: int) -> Iterator[Finding]:
    place.ask_to_end(pid)
    yield Finding(
        "mini's exit status after a SIGTERM to mini, with an init between",
        "143",
        _ending(place.started[-1]),
        "The kernel drops a signal for process 1 that has no handler there: chapter 11, the duties "
        "of process 1.",
        "Process 1 passes the signals on to its child, as mini passes them on to process 1.",
    )


def _some(names: Sequence[str]) -> str:
    more = "…" if len(names) > len(DEVICES) + 2 else ""
    return ", ".join(names[: len(DEVICES) + 2]) + more or "none"


def _devices(pid: int) -> Iterator[Finding]:
    kinds = [m.kind for m in looks.mount_table(pid) if m.target == "/dev"]
    yield Finding(
        "the file system that is mounted at /dev",
        "tmpfs",
        kinds[-1] if kinds else "none",
        "Several containers can have one root, and its /dev must not change for all of them.",
        "mounts.mount of kind `tmpfs`",
    )
    yield Finding(
        "the devices in /dev",
        ", ".join(sorted(DEVICES)),
        _some(looks.devices(pid)),
        "A shell needs /dev/null for a command with `&`, and root could read a disk of the host.",
        "given.DEVICES: an empty file for each, and the host's device bound to it.",
    )


def names(place: Place) -> Iterator[Finding]:
    """Stage 4: its own host name and System V objects."""
    pid = place.box("sleep", "4004", options=("--name", "anna"))
    if not pid:
        yield not_started(place)
        return
    idea = "Chapter 11 shows what each of the six is for."
    for kind in ("uts", "ipc"):
        flag = "the flags of processes.clone: labkit.kernel.namespaces.FLAGS"
        yield Finding(f"the {kind} namespace", "its own", looks.own(pid, kind), idea, flag)
    found = until(lambda: looks.host_name(pid) == "anna", 2)
    yield Finding(
        "the container's host name",
        "anna",
        "anna" if found else looks.host_name(pid),
        "A new UTS namespace begins with a copy of the name: a container is called --name.",
        "namespaces.set_hostname: which process calls it?",
    )
    yield Finding(
        "the host's own name",
        HOSTS_NAME,
        os.uname().nodename,
        "The name was set in the host's namespace.",
        "Which process calls set_hostname, and in which namespace is it?",
    )
