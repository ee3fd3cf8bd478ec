"""The rests of a run of the tests on the machine: measured before, measured after, compared.

Several runs may share one machine, and a learner's own lab may run as well.  So all objects of the
tests carry the name of this run (`RUN_NAME`).  An object with the name of another run is not this
run's, and neither is one inside a folder or cgroup that existed before: that lab is in use.  Any
other new object of labkit's belongs to this run, whatever its name: this finds a test that forgot
to use its own lab.
"""

import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

RUN_NAME = f"lk{os.getpid()}"
"""Part of the name of every folder, cgroup and link that this run makes."""
MARKER = "LABKIT_TEST_RUN"
"""The environment variable that marks a process of this run, even an orphan."""


def new_folder(what: str = "") -> str:
    """Return a new temporary folder that carries the name of this run.

    Its name has only letters, digits and hyphens: programs make image names of folders', which may
    not end in an underscore, as mkdtemp(3)'s names may.
    """
    path = os.path.join(tempfile.gettempdir(), f"{RUN_NAME}-{what}{secrets.token_hex(4)}")
    os.mkdir(path, 0o700)
    return path


ENGINE_NAMES: set[str] = set()
"""Names that follow from data roots of this run (`labkit.ownership`)."""
_ANY_ENGINE = re.compile(r"\b(?:labkit-|lk)[a-p]{6}(?=v[0-9a-f]|[^a-z]|$)")
_ANY_RUN = re.compile(r"\blk\d+")
_LABKIT_PATH = re.compile(r"labkit|\blk\d+\b")
_LABKIT_LINK = re.compile(r"^(labkit|lk|br-lk|veth)")

Findings = dict[str, str]
"""The findings: a key that distinguishes two of them, and the line for a reader."""


def is_ours(text: str) -> bool:
    """Whether a path or name of labkit's belongs to this run, or to none in particular."""
    runs, engines = set(_ANY_RUN.findall(text)), set(_ANY_ENGINE.findall(text))
    if engines and not runs:
        return bool(engines & ENGINE_NAMES)
    return RUN_NAME in runs or not runs


def mounts() -> Findings:
    """Return mounts of labkit: by mount point, source or options (an overlay's layers)."""
    found = {}
    for line in _lines("/proc/self/mountinfo"):
        fields = line.split()
        if "nsfs" in fields or (_LABKIT_PATH.search(line) and is_ours(line)):
            found[f"{fields[0]} {fields[4]}"] = f"mount on {fields[4]} ({line.split(' - ')[1]})"
    return found


def network() -> Findings:
    """Return named network namespaces, links and nftables tables."""
    found = {f"netns {name}": f"network namespace {name}" for name in _names("/run/netns")}
    for name in _names("/sys/class/net"):
        if _LABKIT_LINK.match(name) and is_ours(name):
            found[f"link {name}"] = f"network link {name}"
    for table in _output("nft", "list", "tables").splitlines():
        if _LABKIT_LINK.match(table.split()[-1]) and is_ours(table):
            found[table] = f"nftables: {table}"
    return found


def cgroups() -> Findings:
    """Return folders of containers, and of their parents, in every hierarchy."""
    found = {}
    for folder, children, _ in os.walk("/sys/fs/cgroup"):
        if folder.count("/") > 7:
            children.clear()
        for child in children:
            path = f"{folder}/{child}"
            if _LABKIT_PATH.search(path.removeprefix("/sys/fs/cgroup")) and is_ours(path):
                found[path] = f"cgroup {path}"
    return found


def loop_devices() -> Findings:
    """Return loop devices on files of labkit."""
    found = {}
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        text = _text(backing).strip()
        if _LABKIT_PATH.search(text) and is_ours(text):
            found[str(backing)] = f"loop device {backing.parts[3]} on {text}"
    return found


def processes() -> Findings:
    """Return processes of this run.

    The sign is the marker in their environment, or their arguments, cgroup, root folder or standard
    error: labkit's own have no environment.
    """
    found = {}
    mine = {os.getpid(), os.getppid()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in mine:
            continue
        arguments = _text(entry / "cmdline").replace("\0", " ")
        environment = _text(entry / "environ").split("\0")
        links = [_link(entry / name) for name in ("root", "cwd", "fd/2")]
        places = arguments + _text(entry / "cgroup") + " ".join(links)
        if f"{MARKER}={RUN_NAME}" in environment or RUN_NAME in _ANY_RUN.findall(places):
            state, start_time = _state_and_start_time(entry)
            if state not in ("Z", "X"):
                found[f"{entry.name} {start_time}"] = f"process {entry.name}: {arguments.strip()}"
    return found


def files() -> Findings:
    """Return files in labkit's folders, and in the folders for temporary files."""
    found = {}
    for folder in {"/tmp", os.environ.get("TMPDIR", "/tmp"), "/run", "/var/lib", "/dev/shm"}:
        for name in _names(folder):
            # All daemons of the machine keep their subnets apart by this file: the last of them
            # removes it, and others may run.
            if name.startswith("labkit-subnets."):
                continue
            if re.search(r"labkit|^lk\d", name) and is_ours(name):
                found[f"{folder}/{name}"] = f"file {folder}/{name}"
    return found


LOOKS: tuple[Callable[[], Findings], ...] = (
    mounts,
    network,
    cgroups,
    loop_devices,
    processes,
    files,
)


def measure() -> Findings:
    """Return all of the above at this moment."""
    return {key: line for look in LOOKS for key, line in look().items()}


def news(now: Findings, before: Findings) -> list[str]:
    """Return the lines of new objects that are not inside an old one."""
    return [
        line
        for key, line in now.items()
        if key not in before and not any(str(parent) in before for parent in Path(key).parents)
    ]


def left_behind(before: Findings, patience_s: float = 3.0) -> list[str]:
    """Return the objects that are new since `before`; vanishing ones get a moment."""
    deadline = time.monotonic() + patience_s
    while True:
        left = news(measure(), before)
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _names(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _lines(path: str) -> Iterator[str]:
    yield from _text(Path(path)).splitlines()


def _link(path: Path) -> str:
    try:
        return f" {path.readlink()}"
    except OSError:
        return ""


def _state_and_start_time(process: Path) -> tuple[str, str]:
    """Return the state letter and start time of proc(5)'s stat; ("X", "") after its end."""
    fields = _text(process / "stat").rpartition(") ")[2].split()
    return (fields[0], fields[19]) if fields else ("X", "")


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
