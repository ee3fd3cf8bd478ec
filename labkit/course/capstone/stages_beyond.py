"""Stages 8, 10 and 11, and fifty runs: a cable, a registry, its own users."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from labkit.course.capstone import layout, looks
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.given import BRIDGE, FIRST_ID, GATEWAY, IDS
from labkit.course.capstone.place import Place, every_process, group_folders, until
from labkit.course.capstone.publishing import Liar, push
from labkit.course.capstone.stages_process import not_started
from labkit.course.images.hub import Hub
from labkit.kernel.network import links
from labkit.kernel.network.netlink import RouteSocket

ADDRESS, SECOND = "10.99.0.7", "10.99.0.8"
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
    if "eth0" not in inside:
        return
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
    routes = looks.routes_of(pid)
    yield Finding(
        "the routes inside",
        "10.99.0.0/24, default",
        ", ".join(routes) or "none",
        "An address of 24 bits makes a route to its network; all other packets need one as well.",
        "links.add_address with 24, links.add_default_route by way of given.GATEWAY",
    )
    yield from _two_cables(place, pid)
    gone = until(lambda: not _leftovers(), 5)
    yield Finding(
        "mini's links on the host, once the last container has ended",
        "none",
        "none" if gone else ", ".join(_leftovers()),
        "The kernel removes the cable with its namespace; mini must remove the bridge.",
        "links.delete",
    )


def _two_cables(place: Place, pid: int) -> Iterator[Finding]:
    """End a container beside another one, and then the other."""
    first = place.started[-1]
    second = place.box("sleep", "4018", options=("--address", SECOND))
    if not second:
        yield not_started(place)
        return
    place.ask_to_end(second)
    until(lambda: place.started[-1].poll() is not None)
    answers = until(lambda: _ping(f"{place.root}/bin/busybox", ADDRESS), 3)
    yield Finding(
        "a ping to the first container, once a second one has ended",
        "answered",
        "answered" if answers else "no answer",
        "The bridge belongs to all containers, and is removed with the last cable.",
        "links.every_link: `master` of a cable is `number` of its bridge.",
    )
    first.terminate()


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
        same = layout.digest_of(f"{target}/blobs") == layout.digest_of(f"{source}/blobs")
        yield Finding(
            "the blobs of the pulled image",
            "those of the registry",
            "those of the registry" if same else "others, or not all of them",
            "The manifest, its config and its layers are blobs: chapter 6, an image's digests.",
            "given.blob, for the manifest and for each digest that is in it",
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
        for part in ("layers", "config"):
            yield from _changed(place, hub, part)
        again = place.run("pull", f"{hub.address}/tool:1.0", f"{place.folder}/again")
        yield Finding("the status of `pull` for the same image, unchanged", "0", str(again))
    finally:
        hub.close()


def _changed(place: Place, hub: Hub, part: str) -> Iterator[Finding]:
    with Liar(hub.address, part) as liar:
        target = f"{place.folder}/changed-{part}"
        status = place.run("pull", f"{liar.address}/tool:1.0", target)
    refused = isinstance(status, int) and status != 0
    yield Finding(
        f"an image whose {part} the registry sends with other bytes",
        "refused",
        "refused" if refused else "accepted",
        "A digest is a promise that anyone can check: chapter 6, one changed byte.",
        "hashlib.sha256 of the bytes that came, compared with the digest",
    )
    there = os.path.exists(target)
    yield Finding(
        f"the image's folder after that ({part})",
        "not there",
        "there" if there else "not there",
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
    words = ("run", *options)
    right = 0
    while right < RUNS:
        status = place.run(*words, *roots[right % 2], "--", "sh", "-c", f"exit {right}")
        if status != right:
            break
        right += 1
    found = str(right) if right == RUNS else f"{right}, and then {status}: {place.said()}"
    yield Finding("exit statuses that came through", str(RUNS), found)
    left = {
        "mounts": sorted(set(looks.hosts_mounts()) - set(mounts_before)),
        "links": _leftovers(),
        "groups": [str(path) for path in group_folders(place.group)],
        "folders of containers": place.boxes(),
        "processes": [str(pid) for pid in every_process() if pid != os.getpid()],
    }
    for what, there in left.items():
        found = f"{len(there)}, for example {there[0]}" if there else "none"
        yield Finding(f"{what} that are left", "none", found, "The engine removes what it makes.")


def users(place: Place) -> Iterator[Finding]:
    """Stage 11: root inside, an ordinary user outside."""
    command = ("sh", "-c", "touch /tmp/mine; sleep 4011; exit")
    pid = place.box(*command, options=("--userns", "--name", "eve"))
    if not pid:
        yield not_started(place)
        return
    idea = "uid_map has three numbers in each line: chapter 11, its section on users."
    until(lambda: os.path.exists(f"/proc/{pid}/root/tmp/mine"), 2)
    yield Finding("the user namespace", "its own", looks.own(pid, "user"), idea)
    if looks.own(pid, "user") != "its own":
        return
    everyone = {looks.status(one, "Uid").split("\t")[0] for one in looks.those_inside(pid)}
    yield Finding(
        "the host's number of the container's processes",
        "not 0",
        "0, the host's root" if "0" in everyone else "not 0",
        idea,
        "user_namespaces.enter",
    )
    for name in ("uid_map", "gid_map"):
        yield Finding(
            f"{name}: a number inside, its number on the host, and how many follow",
            f"0 {FIRST_ID} {IDS}",
            " ".join(Path(f"/proc/{pid}/{name}").read_text().split()) or "empty",
            idea,
            "user_namespaces.make: a list of such tuples of three, for users and for groups",
        )
    try:
        owner = str(os.stat(f"/proc/{pid}/root/tmp/mine").st_uid)
    except OSError:
        owner = "none: root inside could not make it"
    yield Finding(
        "the owner of a file that root has made inside, as the host sees it",
        str(FIRST_ID),
        owner,
        "The files of the root belong to the host's root, which has no number inside; an id-mapped "
        "mount shows them with the namespace's owners.",
        "trees.clone_tree, trees.map_ids and trees.attach, before anything is mounted on top",
    )
    yield from _mapped_guest(place, pid)
    yield from _mapped_image(place)


def _mapped_guest(place: Place, pid: int) -> Iterator[Finding]:
    words = ("sleep", "4021")
    place.start("exec", "eve", "--", *words)
    guest = place.find(words)
    same = guest and looks.namespace(guest, "user") == looks.namespace(pid, "user")
    yield Finding(
        "the user namespace of an exec'ed process",
        "the container's",
        "the container's" if same else "another one" if guest else f"mini said: {place.said()}",
        "An exec'ed process is root inside, as process 1 is, and has no more power outside.",
        "user_namespaces.enter with a pidfd, as process 1 does before it gives up its powers",
    )


def _mapped_image(place: Place) -> Iterator[Finding]:
    folder = f"{place.folder}/image"
    layout.write(folder, layout.three_layers(place.root, "t"))
    script = "test -O /token && touch /data/new && test -O /data/new"
    status = place.run("run", "--image", folder, "--userns", "--", "sh", "-c", script)
    yield Finding(
        "root's own files in an image, and one that it makes there: a command's exit status",
        "0",
        str(status) if status == 0 else f"{status}; mini said: {place.said()}",
        "Below the mapped folder the host's root has no number: it cannot give files their owners. "
        "So the order matters: unpack, map, and then mount.",
        "Unpack the layers before trees.attach; clear mini's state if it is from an earlier try.",
    )
