"""Obstacles for a user without root, and how to remove each."""

import os
from collections.abc import Iterator

from labkit.cgroups import given
from labkit.dialect import subordinate_ids
from labkit.doctor.checks_programs import find
from labkit.doctor.finding import LIMITED, MISSING, OK, Finding, Situation, install, tried
from labkit.kernel import files
from labkit.rootless import ids

ENOUGH_IDS = 65_536
FIRST_ID = 100_000
LONGEST_SOCKET = 107
"""The most bytes in the path of a Unix socket (unix(7): 108 with the zero at the end)."""
PROFILE = "labkit-userns"
CABLES = ("pasta", "slirp4netns")
TUN = "/dev/net/tun"

SYSCTLS = (
    ("user.max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=15000"),
    ("kernel.unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        *("kernel.apparmor_restrict_unprivileged_userns", "1"),
        f"sudo install -m 0644 vagrant/{PROFILE} /etc/apparmor.d/ && "
        f"sudo apparmor_parser -r /etc/apparmor.d/{PROFILE}",
    ),
)
"""Settings that may forbid user namespaces: the name, the value that does, and the remedy."""


def check_user_namespace(situation: Situation) -> Iterator[Finding]:
    """The user namespace that labkitd makes, and what forbids it."""
    failure = situation.trials.get("namespace.user", "") or situation.trials.get("mounts", "")
    name = "own user namespace"
    if not failure:
        yield tried(situation, "namespace.user", name, "labkitd is root in it", "", required=True)
        return
    setting, remedy = obstacle()
    detail = f"{failure}{f': {setting}' if setting else ''}"
    yield Finding(name, MISSING, detail, remedy, required=True)


def obstacle(proc: str = "/proc") -> tuple[str, str]:
    """The setting that forbids user namespaces or their capabilities, and the remedy."""
    for name, forbids, remedy in SYSCTLS:
        if files.text_of(f"{proc}/sys/{name.replace('.', '/')}").strip() == forbids:
            return f"{name} is {forbids}", remedy
    if "Seccomp:\t2" in files.text_of(f"{proc}/self/status"):
        remedy = "start the outer container with --security-opt seccomp=unconfined"
        return "an outer filter of system calls (seccomp)", remedy
    return "", "a chroot or a security module forbids it: ask the administrator of this machine"


def check_ids(situation: Situation) -> Iterator[Finding]:
    """The subordinate ids: a container's users other than root."""
    found = ids.find()
    name, count = "subordinate ids", min(_count(found.uids), _count(found.gids))
    line = f"{given.user_name(os.getuid())}:{_free_id()}:{ENOUGH_IDS}"
    add = f"echo {line} | sudo tee -a /etc/subuid /etc/subgid"
    if not count and not ids.has_name(os.getuid()):
        detail = "none: newuidmap gives them only to a user with a name"
        yield Finding(name, LIMITED, detail, "add this user to /etc/passwd under a name")
    elif not count:
        lost = "none: all files and processes of containers belong to one user"
        yield Finding(name, LIMITED, lost, add)
    elif failure := situation.trials.get("ids", ""):
        yield Finding(name, MISSING, failure, install("uidmap"), required=True)
    elif count < ENOUGH_IDS:
        detail = f"{count}: an image with more users cannot be unpacked"
        yield Finding(name, LIMITED, detail, add)
    else:
        yield Finding(name, OK, f"{count} besides root", required=True)
    if others := ids.sharers():
        detail = f"{', '.join(others)} have some too, and can change what containers here own"
        yield Finding(f"{name} shared", LIMITED, detail, "give each user other ones in /etc/subuid")


def _free_id(folder: str = "/etc") -> int:
    """The first id after all ids of the files, or the first one that Debian assigns."""
    lines = [
        line for name in ("subuid", "subgid") for line in subordinate_ids.read(f"{folder}/{name}")
    ]
    return max([FIRST_ID, *(line.first + line.ids for line in lines)])


def _count(ranges: tuple[tuple[int, int, int], ...]) -> int:
    return sum(count for _, _, count in ranges[1:])


def check_proc(situation: Situation) -> Iterator[Finding]:
    """A new /proc; the kernel refuses one if parts of the old one are hidden."""
    yield tried(
        situation,
        "proc",
        "new /proc",
        "each container gets its own",
        "an outer container hides parts of /proc: start it with --security-opt "
        "systempaths=unconfined (podman: --security-opt unmask=ALL)",
        required=True,
    )


def check_cable(_: Situation) -> Iterator[Finding]:
    """The connection of containers with the outside: a program and a device file."""
    program = next(filter(find, CABLES), "")
    yield Finding(
        "cable",
        OK if program else LIMITED,
        f"{program} connects containers with the outside" if program else "no way to the outside",
        "" if program else install("passt"),
    )
    if not program:
        return
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        yield Finding(TUN, LIMITED, "not there: no way to the outside", "sudo modprobe tun")
    except OSError as error:
        detail = f"{error.strerror}: no way to the outside"
        yield Finding(TUN, LIMITED, detail, f"sudo chmod 0666 {TUN}")
    else:
        yield Finding(TUN, OK, f"may be opened by {given.user_name(os.getuid())}")


def check_folders(situation: Situation) -> Iterator[Finding]:
    """The run folder and the data root: their owner, and the length of the socket's path."""
    paths = situation.paths
    yield _folder("run folder", paths.run, "XDG_RUNTIME_DIR or LABKIT_RUN")
    yield _folder("data root", paths.root, "HOME, XDG_DATA_HOME or LABKIT_ROOT")
    length = len(os.fsencode(paths.socket))
    if length > LONGEST_SOCKET:
        yield Finding(
            "socket",
            MISSING,
            f"{paths.socket} has {length} bytes, a socket's path at most {LONGEST_SOCKET}",
            "name a shorter folder in LABKIT_RUN",
            required=True,
        )


def _folder(name: str, folder: str, variables: str) -> Finding:
    place = folder
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    try:
        owner = os.stat(place).st_uid
    except OSError as error:
        owner = -1
        detail = f"{place}: {error.strerror}"
    else:
        detail = f"{place} belongs to {given.user_name(owner)}"
    if place == folder and owner != os.geteuid():
        remedy = f"name a folder of your own in {variables}"
        return Finding(name, MISSING, detail, remedy, required=True)
    if not os.access(place, os.W_OK | os.X_OK):
        remedy = f"name a folder that you may write in {variables}"
        detail = f"{folder} cannot be made or written in {place}"
        return Finding(name, MISSING, detail, remedy, required=True)
    return Finding(name, OK, folder, required=True)
