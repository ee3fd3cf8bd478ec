"""The beginning of mini's file: its names, its tables, and the command line.

Nothing here is the subject of the chapter: the learner's own file has all the parts that make a
container.
"""

import argparse
import errno
import http.client
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from labkit.kernel import mounts

STATE = os.environ.get("MINI_STATE", "/var/lib/mini")
"""The folder for what mini keeps on the disk."""
GROUP = os.environ.get("MINI_GROUP", "mini")
"""The name of mini's folder in each hierarchy of cgroups."""
BRIDGE = "mini0"
"""The name of the bridge."""
GATEWAY = "10.99.0.1"
"""The address of the bridge, in a network of 24 bits."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""The variables that a command gets."""
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
"""The files that a container needs in its /dev."""


def _there(*names: str) -> tuple[str, ...]:
    return tuple(name for name in names if os.path.exists(f"/proc/{name}"))


MASKED = _there("interrupts", "kcore", "keys", "latency_stats", "sched_debug", "timer_list")
"""Files in /proc that a container may not read, those that this kernel has."""
READ_ONLY = _there("bus", "fs", "irq", "sys", "sysrq-trigger")
"""Names in /proc that a container may not change, those that this kernel has."""
CAPABILITIES = """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
    SYS_CHROOT KILL AUDIT_WRITE""".split()
"""The powers that a container's root keeps."""
FIRST_ID = 100000
"""The host's number for the container's root, with `--userns`."""
IDS = 65536
"""How many numbers a container with `--userns` has, from 0 on: for users, and for groups."""
FILES = {
    "memory": ("memory.limit_in_bytes", "memory.max"),
    "pids": ("pids.max", "pids.max"),
    "cpu": ("cpu.shares", "cpu.weight"),
}
"""The file for each limit, by controller: in cgroup version 1, and in version 2."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""The signals that are passed on to the command."""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
"""The type of document that a registry must answer with (the header Accept)."""

Verb = Callable[[argparse.Namespace], int]


def folder(name: str) -> Path:
    """The folder for all that mini keeps of one container; mini makes it."""
    return Path(STATE, "boxes", name)


def record(name: str) -> Path:
    """The file with the facts that `ps`, `stop` and `exec` need about a container."""
    return folder(name) / "record.json"


def blob(layout: str, digest: str) -> Path:
    """The path of a blob in an OCI layout."""
    return Path(layout, "blobs", digest.replace(":", "/"))


def fetch(url: str) -> bytes:
    """Return the answer of a registry at an address (GET); OSError if the status is not 200."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.netloc, timeout=20)
    try:
        connection.request("GET", place.path, headers={"Accept": f"{MANIFEST}, */*"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(f"{url}: the registry answered {answer.status}")
        return answer.read()
    finally:
        connection.close()


def remove_folder(path: Path) -> None:
    """Remove a folder of mini's; OSError (EBUSY) if something is mounted in it.

    `shutil.rmtree` alone would walk through a mount that a mistake has left on the host, and delete
    the files that it shows.
    """
    top = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for mount in mounts.parse_mountinfo(file.read()):
            if f"{mount.target}/".startswith(f"{top}/"):
                raise OSError(errno.EBUSY, "a file system is mounted there", mount.target)
    shutil.rmtree(path)


def write_index(layout: str, digest: str, size: int) -> None:
    """Make `layout`, which has the blobs, an OCI layout of the image with this manifest."""
    entry = {"mediaType": MANIFEST, "digest": digest, "size": size}
    index = {"schemaVersion": 2, "manifests": [entry]}
    Path(layout, "index.json").write_text(json.dumps(index), encoding="utf-8")
    Path(layout, "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until `holds()` is true; False if the time is over first."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def remove_group(path: str) -> bool:
    """Remove the folder of a cgroup; False if there are other folders in it.

    The kernel still counts a process that is just ending, so this waits for up to a second.
    """

    def is_removed() -> bool:
        with suppress(OSError):
            os.rmdir(path)
        return not os.path.exists(path)

    if os.path.exists(path) and any(entry.is_dir() for entry in os.scandir(path)):
        return False
    return wait_until(is_removed, 1)


def _not_yet(box: argparse.Namespace) -> int:
    raise SystemExit("mini: this command is still to be written")


def command_line(run: Verb, **others: Verb) -> None:
    """Call the function that the command line names, and end with the status it returns.

        run [OPTIONS] -- COMMAND…          exec NAME -- COMMAND…          ps
        stop [--grace SECONDS] NAME        pull HOST:PORT/NAME:TAG FOLDER

    `others` are `execute`, `ps`, `stop` and `pull`, if they are written.  Each gets the options as
    attributes of one object: `box.name`, `box.root`, `box.command` (a list of words)…
    `box.limits` has the limits by controller, 0 for none; `box.repository`
    (`http://HOST:PORT/v2/NAME`) and `box.tag` are those of an image to pull.
    """
    box = _options(sys.argv[1:], run, others)
    if "memory" in box:
        box.limits = {"memory": box.memory, "pids": box.pids, "cpu": box.shares}
    if "from_" in box:
        host, _, name = box.from_.partition("/")
        name, _, box.tag = name.rpartition(":")
        box.repository = f"http://{host}/v2/{name}"
    sys.exit(box.do(box))


def _options(words: list[str], run: Verb, others: dict[str, Verb]) -> argparse.Namespace:
    command: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, command = words[:at], words[at + 1 :]
    parser = argparse.ArgumentParser(prog="mini")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, do: Verb, *arguments: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name)
        one.set_defaults(do=do, command=command)
        for argument in arguments:
            one.add_argument(argument)
        return one

    one = verb("run", run)
    for option in ("--root", "--image", "--address"):
        one.add_argument(option, default="")
    one.add_argument("--name", default=f"box-{os.getpid()}")
    for option in ("--memory", "--pids", "--shares"):
        one.add_argument(option, type=int, default=0)
    for option in ("--detach", "--userns"):
        one.add_argument(option, action="store_true")
    verb("exec", others.get("execute", _not_yet), "name")
    verb("ps", others.get("ps", _not_yet))
    stop = verb("stop", others.get("stop", _not_yet), "name")
    stop.add_argument("--grace", type=float, default=10.0)
    verb("pull", others.get("pull", _not_yet), "from_", "folder")
    return parser.parse_args(words)
