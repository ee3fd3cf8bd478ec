"""Stage 9: a life after the starter's end."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from labkit.course.capstone import looks
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.place import PATIENCE_S, Place, group_folders, until, words_of
from labkit.course.capstone.stages_process import not_started


def life(place: Place) -> Iterator[Finding]:
    """Stage 9: detached, listed, entered, stopped."""
    begin = time.monotonic()
    script = "trap 'touch /tmp/asked' TERM; sleep 4009 & while :; do wait; done"
    words = ("run", "--detach", "--name", "bob", "--root", place.root, "--", "sh", "-c", script)
    found = place.run(*words)
    took_s = time.monotonic() - begin
    yield Finding(
        "the status of `run --detach`, with the container running",
        "0",
        str(found) if took_s < PATIENCE_S else "the starter waits for the container",
        "The starter returns; a copy of mini stays as the container's parent, as the shim does: "
        "chapter 2, the chain of parents.",
        "os.fork and os.setsid, before the container is made",
    )
    pid = place.find(("sleep", "4009"))
    if not pid:
        yield not_started(place)
        return
    first = looks.first_of(pid)
    yield from _listed(place, first)
    yield from _held(place, pid, first)
    yield from _entered(place, first)
    yield from _stopped(place, first)


def _held(place: Place, pid: int, first: int) -> Iterator[Finding]:
    parent = int(looks.status(first, "PPid") or 0)
    said = os.path.realpath(place.folder)
    held = []
    for one in (parent, first, pid):
        for fd in looks.descriptors(one):
            with suppress(OSError):
                path = os.readlink(f"/proc/{one}/fd/{fd}")
                held += [path] if path.startswith(f"{said}/said-") else []
    yield Finding(
        "files of the starter that the container still holds",
        "none",
        "none" if not held else f"{len(held)}, its output among them",
        "A reader of the starter's output waits until every process has closed it: so "
        "`$(mini run --detach …)` never ends.",
        "os.dup2 of /dev/null over 0, 1 and 2",
    )
    yield Finding(
        "the session of the container's parent",
        "its own",
        "its own" if os.getsid(parent) == parent else "the starter's",
        "Closing a terminal ends its session's processes (SIGHUP).",
        "os.setsid",
    )


def _listed(place: Place, first: int) -> Iterator[Finding]:
    place.run("ps")
    lines = place.printed()
    # The kernel says which pid is right; mini only has to know the same.
    listed = any(line.split()[:2] == ["bob", str(first)] for line in lines)
    yield Finding(
        "the line of `ps` for the container",
        f"bob {first}",
        f"bob {first}" if listed else (lines[0] if lines else "no line"),
        "A fact that later commands need must be in a file: chapter 8, the record.",
        "given.record: a pid and its start time, since a pid is used again (processes.start_time).",
    )


def _entered(place: Place, first: int) -> Iterator[Finding]:
    guest_command = ("sleep", "4019")
    door = os.open("/etc", os.O_RDONLY)
    process = place.start("exec", "bob", "--", *guest_command, fds=(door,))
    guest = place.find(guest_command)
    os.close(door)
    if not guest:
        yield not_started(place)
        return
    idea = "An exec'ed process gets all that the container has, and no more: chapter 7."
    differing = [k for k in looks.KINDS if looks.namespace(guest, k) != looks.namespace(first, k)]
    yield Finding(
        "namespaces of an exec'ed process that are not the container's",
        "none",
        ", ".join(differing) or "none",
        idea,
        "namespaces.setns takes a pidfd and several flags at once; pid is for the next child.",
    )
    for field in ("CapBnd", "CapEff", "NoNewPrivs", "Seccomp"):
        mine, theirs = looks.status(guest, field), looks.status(first, field)
        yield Finding(f"{field} of an exec'ed process", theirs, mine, idea, "as in stage 7")
    cgroups = [Path(f"/proc/{one}/cgroup").read_text() for one in (guest, first)]
    yield Finding(
        "the groups of an exec'ed process",
        "the container's",
        "the container's" if cgroups[0] == cgroups[1] else "others",
        idea,
        "before setns: afterwards /sys/fs/cgroup is out of reach",
    )
    where = "/" if looks.starts_at_root(guest) else "a folder of the host"
    yield Finding("the working folder of an exec'ed process", "/", where, idea, "os.chdir")
    yield Finding(
        "open files of an exec'ed process, other than 0, 1 and 2",
        "none",
        looks.held_by([guest]),
        "An open folder of the host is a way out, for a guest as well: stage 2.",
        "processes.close_all_but or close_on_exec_from, before the command starts",
    )
    os.kill(guest, 9)
    try:
        found = str(process.wait(5))
    except subprocess.TimeoutExpired:
        found = "none: mini still runs"
    yield Finding("the status of `exec`, if its command is killed", "137", found, idea, "stage 1")


def _stopped(place: Place, first: int) -> Iterator[Finding]:
    path = Path(place.state, "boxes", "bob", "record.json")
    record = path.read_bytes() if path.exists() else b""
    # A busy machine may need longer than the short grace until the command runs its trap.
    patient = place.start("stop", "--grace", "30", "bob")
    asked = Path(place.root, "tmp", "asked")
    until(lambda: asked.exists() or patient.poll() is not None or not words_of(first))
    begin = time.monotonic()
    status = place.run("stop", "--grace", "1", "bob")
    took_s = time.monotonic() - begin
    yield Finding("the status of `stop`", "0", str(status))
    is_gone = not words_of(first)
    slow = is_gone and took_s > 8
    yield Finding(
        "a container that ignores SIGTERM, after `stop --grace 1`",
        "ended",
        "ended, but late" if slow else ("ended" if is_gone else "still running"),
        "First a request, then, when the grace is over, the end: chapter 8, stop and kill.",
        "processes.send_signal, twice",
    )
    yield Finding(
        "the SIGTERM, in the container's command",
        "arrived",
        "arrived" if asked.exists() else "did not arrive",
        "A program that gets a SIGTERM can save its work: chapter 8, stop and kill.",
        "First processes.send_signal with SIGTERM, then given.wait_until with box.grace.",
    )
    left = list(group_folders(f"{place.group}/bob"))
    boxes = Path(place.state, "boxes", "bob")
    kept = [*map(str, left), *([str(boxes)] if boxes.exists() else [])]
    yield Finding(
        "its leftovers", "nothing", kept[0] if kept else "nothing", "The parent removes them."
    )
    if record:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record)
    with _process_with(first) as other:
        place.run("ps")
        other.kill()
    yield Finding(
        "the output of `ps` after that, with bob's record back and his number another process's",
        "nothing",
        "; ".join(place.printed()) or "nothing",
        "A record stays if mini is killed together with its container, and the kernel uses each "
        "number again.",
        "processes.start_time, compared with the one in the record",
    )


def _process_with(number: int) -> "subprocess.Popen[bytes]":
    """Start a process with a number that is free, if the kernel lets us choose (proc(5))."""
    with suppress(OSError):  # a kernel without CONFIG_CHECKPOINT_RESTORE has no such file
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
    return subprocess.Popen(["sleep", "4029"])
