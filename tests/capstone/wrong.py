"""The classic mistakes: each is the reference with a piece exchanged, and what its judge finds.

Every mistake is made so that no race is needed for it to show.
"""

from typing import NamedTuple


class Wrong(NamedTuple):
    """A mistake in a stage: pieces of the reference, and their replacements."""

    stage: int
    name: str
    found: tuple[str, ...]
    """For each finding that does not hold: some of its words."""
    changes: tuple[tuple[str, str], ...]


def wrong(stage: int, name: str, found: str | tuple[str, ...], *changes: str) -> Wrong:
    """A mistake, or some that do not touch each other: each start of a container takes its time."""
    words = (found,) if isinstance(found, str) else found
    return Wrong(stage, name, words, tuple(zip(changes[::2], changes[1::2], strict=True)))


PRIVATE = '    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)\n'
PIVOT = '    mounts.pivot_root(".", ".")  # now the old root lies over the new one\n'
DETACH = '    mounts.unmount(".", mounts.MNT_DETACH)\n'
CLOSE_FIRST = "    processes.close_all_but({0, 1, 2, gate} | ({users} if users else set()))\n"
CLOSE_AGAIN = "    processes.close_all_but({0, 1, 2})\n    return stay_with(start"
FLAGS = '("mnt", "pid", "uts", "ipc", "net")'
JOIN = "        join(box.name, pid)\n"
GO = '        os.write(opened, b"1")\n'
PASS_ON = "lambda received, _: os.kill(child, received)"
WAIT_AND_UNSHARE = (
    "    if not os.read(gate, 1):\n        return 125\n",
    "    namespaces.unshare(namespaces.CLONE_NEWCGROUP)",
)

EVERY = (
    wrong(
        1, "status-lost", "the exit status", "return code if code >= 0 else 128 - code", "return 0"
    ),
    wrong(1, "signal-negative", "that SIGKILL ended", "code if code >= 0 else 128 - code", "code"),
    wrong(
        1,
        "signals-not-passed-on",
        "after a SIGTERM",
        PASS_ON,
        "lambda received, _: None",
    ),
    wrong(
        1,
        "always-the-same-signal,-and-all-variables",
        ("the signals that mini gets", "the command's variables"),
        PASS_ON,
        "lambda received, _: os.kill(child, signal.SIGTERM)",
        "os.execvpe(command[0], command, given.ENVIRONMENT)",
        "os.execvp(command[0], command)",
    ),
    wrong(
        1,
        "each-signal-once",
        "the signals that mini gets",
        PASS_ON,
        "lambda received, _: (signal.signal(received, signal.SIG_IGN), os.kill(child, received))",
    ),
    wrong(1, "no-such-program", "no such program", "os._exit(127)", "os._exit(1)"),
    wrong(2, "chroot", "the root of the mount namespace", PIVOT + DETACH, '    os.chroot(".")\n'),
    wrong(2, "old-root-left", "mounts of the host", DETACH, ""),
    wrong(2, "private-too-late", "seen on the host", PRIVATE, "", PIVOT, PRIVATE + PIVOT),
    wrong(2, "nothing-private", "the container's command", PRIVATE, ""),
    wrong(
        2,
        "descriptor-left-open",
        "open files that came",
        CLOSE_FIRST,
        "",
        CLOSE_AGAIN,
        "    return stay_with(start",
        "        processes.close_on_exec_from(3)\n",
        "",
    ),
    wrong(
        2,
        "descriptor-in-process-1",
        "open files",
        CLOSE_FIRST,
        "",
        CLOSE_AGAIN,
        "    return stay_with(start",
    ),
    wrong(
        2,
        "working-folder,-container's-folder-and-high-descriptors-left",
        ("the working folder", "folders of containers", "open files"),
        "    os.chdir(root)\n" + PIVOT + DETACH + '    os.chdir("/")\n',
        '    os.makedirs(f"{root}/old", exist_ok=True)\n'
        '    mounts.pivot_root(root, f"{root}/old")\n'
        '    mounts.unmount("/old", mounts.MNT_DETACH)\n',
        "            given.remove_group(path)\n",
        "            given.remove_group(path)\n    return\n",
        CLOSE_FIRST,
        "",
        CLOSE_AGAIN,
        "    os.closerange(3, 100)\n    return stay_with(start",
        "        processes.close_on_exec_from(3)\n",
        "",
    ),
    wrong(
        3,
        "options,-devices-and-signals-forgotten",
        ("the options of the mount", "mounted at /dev", "the devices", "with an init between"),
        'mounts.mount("proc", proc, "proc", SAFE)',
        'mounts.mount("proc", proc, "proc")',
        '    mounts.mount("tmpfs", dev, "tmpfs", mounts.MS_NOSUID, "mode=755,size=64k")\n',
        "",
        "    for name in given.DEVICES:\n",
        '    for name in ("null",):\n',
        PASS_ON,
        "lambda received, _: os._exit(0) if os.getpid() == 1 else os.kill(child, received)",
    ),
    wrong(3, "no-pid-namespace", "the PID namespace", FLAGS, '("mnt", "uts", "ipc", "net")'),
    wrong(
        3,
        "proc-of-the-host",
        "the processes that /proc shows",
        'mounts.mount("proc", proc, "proc", SAFE)',
        'mounts.mount("/proc", proc, "", mounts.MS_BIND)',
        "    for name in given.MASKED:\n",
        "    for name in ():\n",
        "for name in given.READ_ONLY)",
        "for name in ())",
    ),
    wrong(
        3,
        "zombie",
        "that no process waited for",
        "    return stay_with(start(box.command))\n\n\ndef start",
        "    os.execvpe(box.command[0], box.command, given.ENVIRONMENT)\n\n\ndef start",
    ),
    wrong(
        3,
        "waits-for-its-own-alone",
        "that no process waited for",
        "pid, status = os.wait()",
        "pid, status = os.waitpid(child, 0)",
    ),
    wrong(
        3,
        "waits-for-all",
        "the status, if another process",
        "        if pid == child:\n",
        "        with suppress(ChildProcessError):\n"
        "            while os.wait():\n"
        "                pass\n"
        "        if pid == child:\n",
    ),
    wrong(4, "no-uts", "the host's own name", FLAGS, '("mnt", "pid", "ipc", "net")'),
    wrong(4, "no-ipc", "the ipc namespace", FLAGS, '("mnt", "pid", "uts", "net")'),
    wrong(
        4,
        "named-outside",
        "the host's own name",
        "    gate, opened = os.pipe()\n",
        "    gate, opened = os.pipe()\n    namespaces.set_hostname(box.name)\n",
    ),
    wrong(5, "upside-down", "/token", "overlay.options(reversed(lower)", "overlay.options(lower"),
    wrong(5, "no-whiteouts", "/data/old", 'elif name.startswith(".wh."):', "elif False:"),
    wrong(5, "not-opaque", "/opaque/hidden", 'os.setxattr(above, overlay.OPAQUE, b"y")', "pass"),
    wrong(
        5,
        "writes-into-a-layer",
        "in a second one",
        "overlay.options(reversed(lower), upper, work)",
        "overlay.options(reversed(lower[:-1]), lower[-1], work)",
    ),
    wrong(
        5,
        "unpacks-into-the-image",
        "the image's folder",
        'target = f"{given.STATE}/layers/',
        'target = f"{image}/layers/',
    ),
    wrong(
        5,
        "names-of-owners,-unpacked-again,-no-root",
        ("the owner of /data/kept", "the unpacked first layer", "a command in `--root`"),
        'archive.extract(member, f"{target}.new", numeric_owner=True)',
        'archive.extract(member, f"{target}.new")',
        "        return target\n    os.makedirs",
        "        shutil.rmtree(target)\n    os.makedirs",
        "    if box.image:\n",
        "    if True:\n",
    ),
    wrong(
        6,
        "joined-after-exec",
        "when it was started (execve)",
        JOIN,
        "",
        GO,
        GO
        + '        while b"sleep" not in Path(f"/proc/{pid}/task/{pid}/children").read_bytes():\n'
        "            if given.wait_until(lambda: False, 0.5):\n"
        "                pass\n"
        "            break\n" + JOIN,
    ),
    wrong(6, "never-joined", "when it was started (execve)", JOIN, ""),
    wrong(
        6,
        "mini's-own-group-left,-and-the-host's-seen",
        ("once the last container has ended", "as it sees them"),
        '{box.name}", f"{top}/{given.GROUP}"):',
        '{box.name}",):',
        "".join(WAIT_AND_UNSHARE),
        WAIT_AND_UNSHARE[1] + "\n" + WAIT_AND_UNSHARE[0] + "    pass",
    ),
    wrong(
        6,
        "no-cgroup-namespace",
        "the cgroup namespace",
        "    namespaces.unshare(namespaces.CLONE_NEWCGROUP)",
        "    pass",
    ),
    wrong(
        7,
        "bounding-set-forgotten",
        "CapBnd",
        "    capabilities.drop_from_bounding_set(kept, capabilities.last_capability())\n",
        "",
    ),
    wrong(7, "all-powers", "CapEff", "    capabilities.set_capabilities(kept)\n", ""),
    wrong(7, "no-filter", "Seccomp", "    seccomp.load(program)\n", ""),
    wrong(
        7,
        "may-gain-powers",  # a filter can be loaded without it, by a process that has all powers
        "NoNewPrivs",
        "    processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)\n    seccomp.load(program)\n",
        "",
        "    kept = capabilities.mask(given.CAPABILITIES)\n",
        "    seccomp.load(program)\n    kept = capabilities.mask(given.CAPABILITIES)\n",
    ),
    wrong(
        7, "proc-open", "files of /proc", "    for name in given.MASKED:\n", "    for name in ():\n"
    ),
    wrong(
        7,
        "proc-writable",
        "parts of /proc",
        'mounts.mount("", path, "", SAFE | mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY)',
        "pass",
    ),
    wrong(
        7,
        "process-1-keeps-its-powers",
        "CapEff",
        "    restrict(program)\n    processes.close_all_but({0, 1, 2})\n"
        "    return stay_with(start(box.command))\n",
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        restrict(program)\n"
        "        os.execvpe(box.command[0], box.command, given.ENVIRONMENT)\n"
        "    return stay_with(child)\n",
    ),
    wrong(
        7,
        "a-filter-for-all-powers,-and-options-that-end",
        ("a call that the filter refuses", "the other options"),
        "seccomp_profile.compile_filter(given.CAPABILITIES)\n    users",
        "seccomp_profile.compile_filter(capabilities.NAMES)\n    users",
        '"", SAFE | mounts.MS_BIND | mounts.MS_REMOUNT',
        '"", mounts.MS_BIND | mounts.MS_REMOUNT',
    ),
    wrong(
        8, "no-network-namespace", "the network namespace", FLAGS, '("mnt", "pid", "uts", "ipc")'
    ),
    wrong(
        8,
        "bridge-without-address",
        "a ping from",
        "        links.add_address(route, given.BRIDGE, given.GATEWAY, 24)\n",
        "",
    ),
    wrong(
        8,
        "no-address-inside",
        "the address of eth0",
        '            links.add_address(route, "eth0", box.address, 24)\n',
        "            return\n",
    ),
    wrong(8, "loopback-off", "the address of lo", "    loopback.bring_up()\n", ""),
    wrong(
        8,
        "bridge-left",
        "mini's links",
        "                links.delete(route, given.BRIDGE)",
        "                pass",
    ),
    wrong(
        8,
        "no-default-route,-and-the-bridge-removed-too-early",
        ("the routes inside", "once a second one has ended"),
        '            links.add_default_route(route, "eth0", given.GATEWAY)\n',
        "",
        'if not any(link.name.startswith("mini-") for link in links.every_link(route)):',
        "with suppress(OSError):",
    ),
    wrong(
        9,
        "holds-the-output",
        "files of the starter",
        "        os.dup2(os.open(os.devnull, os.O_RDWR), fd)\n",
        "        pass\n",
    ),
    wrong(9, "same-session", "the session", "    os.setsid()\n", ""),
    wrong(
        9,
        "starter-waits",
        "`run --detach`",
        "        if os.fork():\n",
        "        if (starter := os.fork()) and os.waitpid(starter, 0):\n",
    ),
    wrong(
        9,
        "guest-with-all-powers",
        "CapEff of an exec'ed process",
        "    restrict(program)\n    return stay_with(start(box.command))\n\n\ndef ps",
        "    return stay_with(start(box.command))\n\n\ndef ps",
    ),
    wrong(
        9,
        "guest-outside-of-groups",
        "the groups of an exec'ed process",
        "    join(box.name, os.getpid())\n",
        "",
    ),
    wrong(
        9,
        "guest-in-other-numbers",
        "namespaces of an exec'ed process",
        "namespaces.setns(door, OWN | namespaces.CLONE_NEWCGROUP)",
        "namespaces.setns(door, OWN & ~namespaces.CLONE_NEWPID | namespaces.CLONE_NEWCGROUP)",
    ),
    wrong(
        9,
        "asks-and-never-kills",
        "a container that ignores SIGTERM",
        "((signal.SIGTERM, box.grace), (signal.SIGKILL, 10))",
        "((signal.SIGTERM, box.grace),)",
    ),
    wrong(
        9,
        "guest-with-open-files,-no-request,-and-the-number-alone",
        ("open files of an exec'ed process", "the SIGTERM, in", "with bob's record back"),
        "        processes.close_on_exec_from(3)\n",
        "",
        "((signal.SIGTERM, box.grace), (signal.SIGKILL, 10))",
        "((signal.SIGKILL, 10),)",
        "        if processes.start_time(pid) == started:\n",
        "        if processes.start_time(pid):\n",
    ),
    wrong(
        10,
        "believes-all",
        "whose layers the registry sends with other bytes",
        "if found != digest:",
        "if False:",
    ),
    wrong(
        10,
        "no-config",
        ("the blobs of the pulled image", "whose config the registry sends with other bytes"),
        '(parts["config"], *parts["layers"])',
        'parts["layers"]',
    ),
    wrong(
        10,
        "found-before-it-is-checked",
        "the image's folder after that",
        '    unfinished = f"{box.folder}.new"\n',
        "    unfinished = box.folder\n",
        "    for digest in [part",
        '    given.write_index(unfinished, "sha256:0", 0)\n    for digest in [part',
        "    os.rename(unfinished, box.folder)\n",
        "",
    ),
    wrong(
        11,
        "no-users",
        "the user namespace",
        "    if users:\n        user_namespaces.enter(users)\n",
        "",
    ),
    wrong(
        11,
        "files-of-nobody",
        "the owner of a file",
        "        show_mapped(given.STATE if box.image else box.root, users)\n",
        "",
    ),
    wrong(
        11,
        "mapped-before-unpacking,-one-number,-and-a-guest-outside",
        ("uid_map", "of an exec'ed process", "root's own files in an image"),
        "[unpack(box.image, digest) for digest in layers(box.image)] if box.image else []",
        "[]",
        "    if box.image:\n",
        "    if box.image:\n"
        "        lower = [unpack(box.image, digest) for digest in layers(box.image)]\n",
        "(0, given.FIRST_ID, given.IDS)",
        "(0, given.FIRST_ID, 1)",
        "    if has_users:\n        user_namespaces.enter(door)\n",
        "",
    ),
)


NOT_YET = (
    (2, FLAGS, "()"),
    (2, "    enter_root(box, lower, users)\n    if users", "    if users"),
    (3, FLAGS, '("mnt",)'),
    (3, "    mount_proc_and_dev(root)\n    os.chdir", "    os.chdir"),
    (4, FLAGS, '("mnt", "pid")'),
    (4, "    namespaces.set_hostname(box.name)\n", ""),
    (5, "[unpack(box.image, digest) for digest in layers(box.image)] if box.image else []", "[]"),
    (6, "        limit(box)\n", ""),
    (6, JOIN, ""),
    (6, "    namespaces.unshare(namespaces.CLONE_NEWCGROUP)", "    pass"),
    (7, "    restrict(program)\n    processes.close_all_but", "    processes.close_all_but"),
    (7, "    for name in given.MASKED:\n", "    for name in ():\n"),
    (7, "for name in given.READ_ONLY)", "for name in ())"),
    (8, FLAGS, '("mnt", "pid", "uts", "ipc")'),
    (8, "    plug_in(box)\n    enter", "    enter"),
    (8, "        lay_cable(box, pid)\n", ""),
    (9, "execute=execute, ps=ps, stop=stop", "execute=run"),
    (10, ", pull=pull", ""),
    (11, "    users = make_users() if box.userns else None\n", "    users = None\n"),
)
"""The pieces that a learner has not written before a stage: number, piece, replacement."""


def up_to(stage: int, text: str) -> str:
    """The reference as it is after a stage: what later ones add is not there yet."""
    for later, piece, before in NOT_YET:
        if later > stage and piece in text:
            text = text.replace(piece, before)
    return text
