"""Stages 5 to 7: layers, limits, powers."""

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.course.capstone import layout, looks
from labkit.course.capstone.exec_gate import ExecGate
from labkit.course.capstone.finding import Finding
from labkit.course.capstone.given import CAPABILITIES, FILES, MASKED, READ_ONLY
from labkit.course.capstone.place import PATIENCE_S, Place, group_folders, until
from labkit.course.capstone.stages_process import not_started
from labkit.kernel import capabilities, mounts

MEMORY_BYTES, PIDS, SHARES = 64 << 20, 20, 512
GAIN = "busybox unshare -U true && touch /tmp/gained; sleep 4007; exit"
"""Without a filter every process may make a user namespace, and has all powers there."""
POWERS = f"{capabilities.mask(CAPABILITIES):016x}"


def image(place: Place) -> Iterator[Finding]:
    """Stage 5: the union of an image's layers, and nothing of the image changes."""
    folder = f"{place.folder}/image"
    token = os.urandom(4).hex()
    layout.write(folder, layout.three_layers(place.root, token))
    before = layout.digest_of(folder)
    script = "echo written > /written; echo new > /data/kept; exec sleep 4005"
    place.start("run", "--image", folder, "--", "sh", "-c", script)
    pid = place.find(("sleep", "4005"))
    if not pid:
        yield not_started(place)
        return
    union = [m.kind for m in looks.mount_table(pid) if m.target == "/"]
    yield Finding(
        "the file system of the container's root",
        "overlay",
        ", ".join(union) or "nothing",
        "Chapter 3: a union of read-only layers and one that is written to.",
        "mounts.mount of kind `overlay`; labkit.kernel.overlay.options",
    )
    yield from _files(pid, token)
    same = layout.digest_of(folder) == before
    yield Finding(
        "the image's folder",
        "unchanged",
        "unchanged" if same else "changed",
        "An image belongs to all its containers: chapter 3, what a container writes.",
        "mini must write nothing into box.image: its own folder is given.STATE.",
    )
    yield Finding(
        "the owner of /data/kept, in the archive and inside",
        f"{layout.OWNER}:{layout.OWNER}",
        _owner(f"/proc/{pid}/root/data/kept"),
        "An archive has names and numbers of users, and only the numbers mean the same everywhere.",
        "archive.extract(…, numeric_owner=True)",
    )
    unpacked = _unpacked(place)
    place.end()
    second = place.run("run", "--image", folder, "--", "sh", "-c", "test ! -e /written")
    yield Finding(
        "a file of the first container, in a second one",
        "not there",
        "not there" if second == 0 else f"there, or no second one came; mini said: {place.said()}",
        "Each container has its own layer on top: chapter 3.",
        "upperdir and workdir are a container's, the unpacked layers are an image's.",
    )
    yield Finding(
        "the unpacked first layer, after the second container",
        "the same files",
        "the same files" if _unpacked(place) == unpacked else "other files: unpacked again",
        "A layer is named by its digest, and so it never changes: unpack it once.",
        "Is there a folder of the layer's name below given.STATE already?",
    )
    third = place.run("run", "--root", place.root, "--", "sh", "-c", "test ! -e /token")
    yield Finding(
        "the status of a command in `--root`, as in stage 2",
        "0",
        str(third) if third == 0 else f"{third}; mini said: {place.said()}",
        "Without an image there are no layers.",
        "box.image is empty then.",
    )


def _owner(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "no such file"
    return f"{found.st_uid}:{found.st_gid}"


def _unpacked(place: Place) -> list[int]:
    """The files of mini's that are the program of the image's first layer."""
    return sorted(path.stat().st_ino for path in Path(place.state).rglob("bin/busybox"))


def _files(pid: int, token: str) -> Iterator[Finding]:
    root = f"/proc/{pid}/root"
    path = Path(f"{root}/token")
    yield Finding(
        "/token, which the third layer replaces",
        token,
        path.read_text() if path.exists() else "missing",
        "The order: the manifest names the lowest layer first, overlayfs wants the topmost first.",
        "lowerdir=",
    )
    for name, kind in (("/data/old", "deleted"), ("/opaque/hidden", "hidden with its folder")):
        yield Finding(
            f"{name}, which the third layer has {kind}",
            "not there",
            "there" if os.path.exists(root + name) else "not there",
            "An archive marks it with an empty file, `.wh.NAME` or `.wh..wh..opq`; overlayfs "
            "with a device 0:0 or an attribute. Chapter 3 does both by hand.",
            "os.mknod and os.setxattr, in the place of archive.extract",
        )
    yield Finding(
        "/opaque/shown, which the third layer adds",
        "there",
        "there" if os.path.exists(f"{root}/opaque/shown") else "not there",
    )
    marks = [name for folder in ("", "/data", "/opaque") for name in os.listdir(root + folder)]
    left = [name for name in marks if name.startswith(".wh.")]
    yield Finding("marks of the archive (.wh.…) in the root", "none", ", ".join(left) or "none")


def limits(place: Place) -> Iterator[Finding]:
    """Stage 6: the files of three controllers, and the process in them before its first step."""
    options = ("--memory", MEMORY_BYTES, "--pids", PIDS, "--shares", SHARES, "--name", "fed")
    words = ("run", "--root", place.root, *map(str, options), "--", "sleep", "4006")
    there = _groups_at_exec(place, words)
    pid = place.find(("sleep", "4006"))
    if not pid:
        yield not_started(place)
        return
    yield Finding(
        "the controllers whose group the command was in when it was started (execve)",
        ", ".join(sorted(FILES)),
        ", ".join(there) or "none",
        "The kernel does not count the work of a process before it joins, and the children that it "
        "has by then stay outside. Chapter 10: a group by hand with this process in it.",
        "The command must wait, in a read(2) from a pipe for example, until its parent did that.",
    )
    for controller, value in (("memory", MEMORY_BYTES), ("pids", PIDS), ("cpu", SHARES)):
        yield _limit(place, controller, value)
    yield Finding(
        "the cgroup namespace",
        "its own",
        looks.own(pid, "cgroup"),
        "A container without one sees the names of the host's groups: chapter 11, groups and "
        "clocks.",
        "namespaces.unshare",
    )
    seen = looks.groups_seen_inside(pid)
    yield Finding(
        "the container's groups, as it sees them",
        "/",
        ", ".join(seen) or "none",
        "The root of a cgroup namespace is the group that the process is in when it is made: so "
        "make it after joining, not with clone.",
        "namespaces.unshare, behind the read(2) that waits for the parent.",
    )
    inside = looks.those_inside(pid)
    outside = [one for one in inside if len(_groups_of(one, place.group)) < len(FILES)]
    yield Finding("processes of the container outside of its groups", "0", str(len(outside)))
    place.ask_to_end(pid)
    until(lambda: not list(group_folders(place.group)), 5)
    left = [*group_folders(f"{place.group}/fed"), *group_folders(place.group)]
    yield Finding(
        "the container's groups and mini's own, once the last container has ended",
        "gone",
        f"still there: {left[0]}" if left else "gone",
        "A group outlives its processes, until its folder is removed: chapter 10.",
        "os.rmdir, for the innermost folder first.",
    )


def _groups_at_exec(place: Place, words: Sequence[str]) -> list[str]:
    """The controllers whose group a command is in when it is started."""
    try:
        gate = ExecGate(f"{place.root}/bin/busybox")
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        place.start(*words)
        pid = place.find(words[-2:])
        return _groups_of(pid, place.group) if pid else []
    try:
        engine = place.start(*words)
        asked = gate.held(PATIENCE_S, engine.pid)
        return _groups_of(asked, place.group) if asked else []
    finally:
        gate.open()


def _groups_of(pid: int, group: str) -> list[str]:
    """The controllers in which a process is in one of the judge's own groups."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if f"/{group}/" in f"{path}/" and path.rstrip("/").rpartition("/")[2] != group:
            found += controllers.split(",") if controllers else _unified(path)
    return sorted(set(found) & set(FILES))


def _unified(path: str) -> list[str]:
    """The controllers that a group of version 2 has."""
    with open("/proc/self/mountinfo") as file:
        tops = [m.target for m in mounts.parse_mountinfo(file.read()) if m.kind == "cgroup2"]
    return Path(f"{tops[0]}{path}/cgroup.controllers").read_text().split()


def _limit(place: Place, controller: str, value: int) -> Finding:
    is_v2, files = False, []
    for folder in group_folders(f"{place.group}/fed"):
        for version, name in enumerate(FILES[controller]):
            if (folder / name).exists():
                is_v2, files = bool(version), [folder / name]
    expected = value * 100 // 1024 if controller == "cpu" and is_v2 else value
    found = files[0].read_text().strip() if files else "no such file"
    return Finding(
        f"the limit of {controller}, in its file",
        str(expected),
        found,
        "A limit is a number in a file: chapter 10, which also translates shares into a weight.",
        "given.FILES, and on version 2 cgroup.subtree_control of every folder above.",
    )


def powers(place: Place) -> Iterator[Finding]:
    """Stage 7: capabilities, no_new_privs, seccomp, covered paths; for every process inside."""
    place.start("run", "--root", place.root, "--", "sh", "-c", GAIN)
    pid = place.find(("sleep", "4007"))
    if not pid:
        yield not_started(place)
        return
    inside = looks.those_inside(pid)
    idea = (
        "Chapter 11, its section on users: root without its powers is a user with a famous number."
    )
    for field, expected, place_words in (
        ("CapBnd", POWERS, "capabilities.drop_from_bounding_set, while you still may"),
        ("CapPrm", POWERS, "capabilities.set_capabilities"),
        ("CapEff", POWERS, "capabilities.set_capabilities"),
        ("CapInh", "0" * 16, "capabilities.set_capabilities"),
        ("NoNewPrivs", "1", "processes.prctl with PR_SET_NO_NEW_PRIVS"),
        ("Seccomp", "2", "seccomp.load of the result of seccomp_profile.compile_filter"),
    ):
        found = sorted({looks.status(one, field) for one in inside})
        yield Finding(
            f"{field} of every process in the container (/proc/<pid>/status)",
            expected,
            ", ".join(found),
            f"{idea} A power that process 1 keeps, its children can have."
            + (" The bounding set is what a program may *gain* at an exec." * (field == "CapBnd")),
            place_words,
        )
    gained = Path(place.root, "tmp", "gained").exists()
    yield Finding(
        "a call that the filter refuses: unshare(2), for a user namespace",
        "refused",
        "allowed" if gained else "refused",
        "A filter is made for some capabilities: more of them allow more calls.",
        "seccomp_profile.compile_filter(given.CAPABILITIES)",
    )
    yield from _covered(pid)


def _covered(pid: int) -> Iterator[Finding]:
    bare = [name for name in MASKED if not looks.is_null(pid, f"/proc/{name}")]
    yield Finding(
        "files of /proc that must be covered",
        "all covered",
        f"open: {', '.join(bare)}" if bare else "all covered",
        "These files show the host: /proc/kcore is its memory.",
        "given.MASKED: /dev/null, bound over each of them.",
    )
    options = {m.target: m.options for m in looks.mount_table(pid)}
    for what, expected, wanted, idea in (
        ("parts of /proc that must be read-only", "all read-only", {"ro"},
         "A program that writes to /proc/sys changes the kernel for all."),
        ("the other options of these parts", "nodev, noexec, nosuid", {"nodev", "noexec", "nosuid"},
         "A remount sets all options of a mount, and those that it does not name end."),
    ):  # fmt: skip
        bad = [name for name in READ_ONLY if not wanted <= set(options.get(f"/proc/{name}", ()))]
        yield Finding(
            what,
            expected,
            f"not for {', '.join(bad)}" if bad else expected,
            idea,
            "given.READ_ONLY: bound to itself, then remounted (man 2 mount, MS_REMOUNT, MS_BIND).",
        )
