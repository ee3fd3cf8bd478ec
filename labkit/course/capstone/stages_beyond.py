"""Stages 8 to 11: a cable, a life after the starter's end, a registry, its own users."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from labkit.course.capstone import layout, looks
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.given import BRIDGE, GATEWAY
from labkit.course.capstone.place import (
    PATIENCE_S,
    Place,
    every_process,
    group_folders,
    until,
    words_of,
)
from labkit.course.capstone.publishing import Liar, push
from labkit.course.capstone.stages_process import not_started
from labkit.course.images.hub import Hub
from labkit.kernel.network import links
from labkit.kernel.network.netlink import RouteSocket

ADDRESS = "10.99.0.7"
RUNS = 50


def network(place: Place) -> Iterator[Finding]:
    """Stage 8: a cable to a bridge, an address, a ping each way."""
    pid = place.box("sleep", "4008", options=("--address", ADDRESS))
    if not pid:
        yield not_started(place)
        return
    yield Finding("the network namespace", "its own", looks.own(pid, "net"))
    inside = {link.name: link for link in looks.links_of(pid)}
    idea = "A switch, a cable with two ends, an address: chapter 12, a bridge by hand."
    yield Finding(
        "links inside",
        "eth0, lo",
        ", ".join(sorted(name for name, link in inside.items() if link.kind in ("", "veth"))),
        idea,
        "links.make_veth in the host's network, with the container's as an open file",
    )
    yield Finding("the master of the cable's other end", BRIDGE, _master(), idea, "links.Veth")
    found = looks.addresses_of(pid)
    for address, what in (("127.0.0.1", "lo"), (ADDRESS, "eth0")):
        yield Finding(
            f"the address of {what}",
            address,
            address if address in found else "none",
            "A link in a new namespace is off and has no address.",
            "loopback.bring_up; links.switch_on and links.add_address, inside",
        )
    busybox = f"{place.root}/bin/busybox"
    inward = until(lambda: _ping(busybox, ADDRESS), 6)
    outward = until(lambda: looks.inside(pid, ("net",), lambda: _ping(busybox, GATEWAY)), 6)
    for what, answers in ((f"host to {ADDRESS}", inward), (f"container to {GATEWAY}", outward)):
        yield Finding(
            f"a ping from {what}",
            "answered",
            "answered" if answers else "no answer",
            "Both ends need an address, both must be on, and the bridge as well.",
            "links.add_address for given.BRIDGE, in the host's network",
        )
    place.ask_to_end(pid)
    gone = until(lambda: not _leftovers(), 5)
    yield Finding(
        "mini's links on the host, once the last container has ended",
        "none",
        "none" if gone else ", ".join(_leftovers()),
        "The kernel removes the cable with its namespace; mini must remove the bridge.",
        "links.delete",
    )


def _master() -> str:
    with RouteSocket() as route:
        every = links.every_link(route)
    names = {link.number: link.name for link in every}
    return next((names.get(link.master, "none") for link in every if link.kind == "veth"), "none")


def _leftovers() -> list[str]:
    with RouteSocket() as route:
        return [link.name for link in links.every_link(route) if link.kind in ("veth", "bridge")]


def _ping(busybox: str, address: str) -> bool:
    words = [busybox, "ping", "-c", "1", "-W", "1", address]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def life(place: Place) -> Iterator[Finding]:
    """Stage 9: detached, listed, entered, stopped."""
    begin = time.monotonic()
    script = "trap '' TERM; sleep 4009; exit"
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
    lines = Path(f"{place.folder}/said-{len(place.started)}").read_text().splitlines()
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
    process = place.start("exec", "bob", "--", *guest_command)
    guest = place.find(guest_command)
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
    os.kill(guest, 9)
    try:
        found = str(process.wait(5))
    except subprocess.TimeoutExpired:
        found = "none: mini still runs"
    yield Finding("the status of `exec`, if its command is killed", "137", found, idea, "stage 1")


def _stopped(place: Place, first: int) -> Iterator[Finding]:
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
    left = list(group_folders(f"{place.group}/bob"))
    boxes = Path(place.state, "boxes", "bob")
    kept = [*map(str, left), *([str(boxes)] if boxes.exists() else [])]
    yield Finding(
        "its leftovers", "nothing", kept[0] if kept else "nothing", "The parent removes them."
    )
    place.run("ps")
    lines = Path(f"{place.folder}/said-{len(place.started)}").read_text().strip()
    yield Finding("the output of `ps` after that", "", lines)


def registry(place: Place) -> Iterator[Finding]:
    """Stage 10: pull, verify, run; a changed blob is refused."""
    source = f"{place.folder}/source"
    token = os.urandom(4).hex()
    layout.write(source, layout.three_layers(place.root, token))
    hub = Hub()
    try:
        push(hub.address, source, "tool", "1.0")
        target = f"{place.folder}/pulled"
        status = place.run("pull", f"{hub.address}/tool:1.0", target)
        yield Finding(
            "the status of `pull`",
            "0",
            str(status) if status == 0 else f"{status}; mini said: {place.said()}",
            "A manifest by its tag, then blobs by their digests: chapter 6.",
            "given.fetch, from box.repository",
        )
        place.start("run", "--image", target, "--", "sleep", "4010")
        pid = place.find(("sleep", "4010"))
        path = Path(f"/proc/{pid}/root/token")
        yield Finding(
            "/token in a container of the pulled image",
            token,
            path.read_text() if pid and path.exists() else f"none; mini said: {place.said()}",
            "The folder is an OCI layout, as in stage 5.",
            "given.write_index",
        )
        place.ask_to_end(pid)
        yield from _changed(place, hub)
    finally:
        hub.close()


def _changed(place: Place, hub: Hub) -> Iterator[Finding]:
    with Liar(hub.address) as liar:
        target = f"{place.folder}/changed"
        status = place.run("pull", f"{liar.address}/tool:1.0", target)
    refused = isinstance(status, int) and status != 0
    yield Finding(
        "a blob of which the registry sends other bytes",
        "refused",
        "refused" if refused else "accepted",
        "A digest is a promise that anyone can check: chapter 6, one changed byte.",
        "hashlib.sha256 of the bytes that came, compared with the digest",
    )
    again = place.run("pull", f"{hub.address}/tool:1.0", f"{place.folder}/again")
    yield Finding("the status of `pull` for the same image, unchanged", "0", str(again))
    there = os.path.exists(f"{target}/index.json")
    yield Finding(
        "the image's folder after that",
        "not there",
        "there, and usable" if there else "not there",
        "mini trusts a folder that exists, so the folder must appear after all checks.",
        "os.rename",
    )


def fifty(place: Place) -> Iterator[Finding]:
    """Fifty containers, one after another, with all options: nothing of them is left."""
    mounts_before = looks.hosts_mounts()
    image = f"{place.folder}/image"
    layout.write(image, layout.three_layers(place.root, "t"))
    options = ("--memory", "67108864", "--pids", "20", "--shares", "512", "--address", ADDRESS)
    roots = (("--root", place.root), ("--image", image))
    runs = [
        place.run("run", *options, *roots[turn % 2], "--", "sh", "-c", f"exit {turn}")
        for turn in range(RUNS)
    ]
    right = sum(status == turn for turn, status in enumerate(runs))
    yield Finding("exit statuses that came through", str(RUNS), str(right))
    boxes = Path(place.state, "boxes")
    left = {
        "mounts": sorted(set(looks.hosts_mounts()) - set(mounts_before)),
        "links": _leftovers(),
        "groups": [str(path) for path in group_folders(place.group)],
        "folders of containers": sorted(os.listdir(boxes)) if boxes.exists() else [],
        "processes": [str(pid) for pid in every_process() if pid != os.getpid()],
    }
    for what, there in left.items():
        found = f"{len(there)}, for example {there[0]}" if there else "none"
        yield Finding(f"{what} that are left", "none", found, "The engine removes what it makes.")


def users(place: Place) -> Iterator[Finding]:
    """Stage 11: root inside, an ordinary user outside."""
    pid = place.box("sh", "-c", "touch /tmp/mine; sleep 4011; exit", options=("--userns",))
    if not pid:
        yield not_started(place)
        return
    idea = "uid_map has three numbers in each line: chapter 11, its section on users."
    until(lambda: os.path.exists(f"/proc/{pid}/root/tmp/mine"), 2)
    yield Finding("the user namespace", "its own", looks.own(pid, "user"), idea)
    first_line = Path(f"/proc/{pid}/uid_map").read_text().split()[:2]
    outside = int(first_line[1]) if first_line else 0
    everyone = {looks.status(one, "Uid").split()[0] for one in looks.those_inside(pid)}
    yield Finding(
        "the host's number of the container's processes",
        "not 0",
        "0, the host's root" if "0" in everyone else "not 0",
        idea,
        "user_namespaces.enter",
    )
    yield Finding(
        "root's number inside (uid_map)", "0", first_line[0] if first_line else "none", idea
    )
    try:
        owner: int | str = os.stat(f"/proc/{pid}/root/tmp/mine").st_uid
    except OSError:
        owner = "none: root inside could not make it"
    yield Finding(
        "the owner of a file that root has made inside, as the host sees it",
        str(outside or "an ordinary user"),
        str(owner),
        "The files of the root belong to the host's root, which has no number inside; an id-mapped "
        "mount shows them with the namespace's owners.",
        "trees.clone_tree, trees.map_ids and trees.attach, before anything is mounted on top",
    )
