"""The same twelve commands to mini and to labkit, and the kernel's state of both, line by line."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.capstone import looks, workshop
from labkit.course.capstone.given import FILES, MASKED, READ_ONLY
from labkit.course.capstone.place import until, words_of
from labkit.course.figures.table import Table

IMAGE = "busybox"
LIMITS = {"memory": 64 << 20, "pids": 20, "cpu": 512}
Lines = dict[str, str]


class Line(NamedTuple):
    """A fact about a command, in mini and in labkit."""

    command: str
    fact: str
    mini: str
    labkit: str

    @property
    def is_same(self) -> bool:
        """Whether the kernel shows the same for both."""
        return self.mini == self.labkit


class Likeness:
    """The lines, and how many of them are the same."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = tuple(lines)

    @property
    def different(self) -> tuple[Line, ...]:
        """The lines that differ."""
        return tuple(line for line in self.lines if not line.is_same)

    def table(self) -> Table:
        """All lines."""
        rows = tuple((*line, "same" if line.is_same else "differs") for line in self.lines)
        commands = len({line.command for line in self.lines})
        same = len(self.lines) - len(self.different)
        words = (
            f"{commands} commands, {len(self.lines)} lines of the kernel's state, {same} the same"
        )
        return Table(("command", "fact", "mini", "labkit", ""), rows, words)


class _Engines:
    """Both engines; each `start_…` gives the pid of the command, on the host."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.number = 99_000 + os.getpid() % 1000 * 10
        self.minis: list[subprocess.Popen[bytes]] = []
        self.containers: list[Container] = []
        self.folder = os.path.dirname(workshop.path())

    def mini(self, *words: str) -> "subprocess.Popen[bytes]":
        null = subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, workshop.path(), *words],
            stdin=null, stdout=null, stderr=null, env=workshop.environment(),
        )  # fmt: skip
        self.minis.append(process)
        return process

    def command(self, *words: str) -> None:
        """Start a command in labkit, and leave it running."""
        null = subprocess.DEVNULL
        command = [sys.executable, "-m", "labkit.cli", *words]
        self.minis.append(subprocess.Popen(command, stdin=null, stdout=null, stderr=null))

    def sleeper(self) -> list[str]:
        self.number += 1
        return ["sleep", str(self.number)]

    def both(self, options: Sequence[str] = (), **given: object) -> tuple[int, int]:
        """A sleeping container in each."""
        one, other = self.sleeper(), self.sleeper()
        self.mini("run", "--image", f"{self.folder}/image", *options, "--", *one)
        self.run_labkit(other, **given)
        return pid_of(one), pid_of(other)

    def run_labkit(self, command: Sequence[str], **given: object) -> Container:
        """Start a detached container in labkit with the settings that mini's containers have."""
        options: Any = {
            "init": True,
            "security_opt": ["no-new-privileges"],
            "network_mode": "none",
            **given,
        }
        container: Container = self.client.containers.run(
            IMAGE, list(command), detach=True, **options
        )
        self.containers.append(container)
        return container

    def close(self) -> None:
        """End all."""
        for process in self.minis:
            process.terminate()
        for process in self.minis:
            process.wait(20)
        for container in self.containers:
            with suppress(Exception):
                container.remove(force=True)


def likeness(client: Client) -> Likeness:
    """Run the twelve commands and read the kernel's state."""
    engines = _Engines(client)
    try:
        lines = [
            Line(command, fact, mini.get(fact, "–"), labkit[fact])
            for command, look in COMMANDS.items()
            for mini, labkit in (look(engines),)
            for fact in labkit
        ]
    finally:
        engines.close()
    return Likeness(lines)


def pid_of(command: Sequence[str]) -> int:
    """Return the host's pid of the process with these words; RuntimeError if none comes in 20 s."""
    wanted = "\0".join(command).encode() + b"\0"

    def look() -> int:
        every = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return next((pid for pid in every if words_of(pid) == wanted), 0)

    if not (found := until(look)):
        raise RuntimeError(
            f"no container runs `{' '.join(command)}` after 20 s: a check above finds the "
            'reason, or `mini("run --image image -- true")` shows it'
        )
    return found


def _status(*command: str) -> Callable[[_Engines], tuple[Lines, Lines]]:
    def look(engines: _Engines) -> tuple[Lines, Lines]:
        image = f"{engines.folder}/image"
        mini = engines.mini("run", "--image", image, "--", *command).wait(20)
        try:
            labkit: int = engines.run_labkit(command).wait()["StatusCode"]
        except Exception as error:
            labkit = getattr(error, "exit_code", 127)
        return {"exit status": str(mini)}, {"exit status": str(labkit)}

    return look


def _lines(
    look: Callable[[int], Lines], options: Sequence[str] = (), **given: object
) -> Callable[[_Engines], tuple[Lines, Lines]]:
    def both(engines: _Engines) -> tuple[Lines, Lines]:
        mini, labkit = engines.both(options, **given)
        return look(mini), look(labkit)

    return both


def _namespaces(pid: int) -> Lines:
    return {f"{kind} namespace": looks.own(pid, kind) for kind in looks.KINDS}


def _numbers(pid: int) -> Lines:
    inside = looks.those_inside(pid)
    return {
        "process 1 is": "an init" if looks.first_of(pid) != pid else "the command",
        "processes inside": str(len(inside)),
        "threads of the command": looks.status(pid, "Threads"),
        "zombies": str(sum(looks.status(one, "State")[:1] == "Z" for one in inside)),
    }


def _mounts(pid: int) -> Lines:
    table = {mount.target: mount for mount in looks.mount_table(pid)}
    at_root = looks.names_at_root(pid) == sorted(os.listdir(f"/proc/{pid}/root"))
    kinds = {f"mounted at {path}": table[path].kind if path in table else "nothing"
             for path in ("/", "/proc", "/dev")}  # fmt: skip
    return {**kinds, "root of the namespace": "its own" if at_root else "the host's"}


def _powers(pid: int) -> Lines:
    fields = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")
    return {field: looks.status(pid, field) for field in fields}


def _covered(pid: int) -> Lines:
    options = {mount.target: mount.options for mount in looks.mount_table(pid)}
    covered = [name for name in MASKED if looks.is_null(pid, f"/proc/{name}")]
    closed = [name for name in READ_ONLY if "ro" in options.get(f"/proc/{name}", ())]
    return {"covered in /proc": ", ".join(covered), "read-only in /proc": ", ".join(closed)}


def _limits(pid: int) -> Lines:
    found = {}
    for controller, names in FILES.items():
        for name in names:
            path = looks.group_of(pid, controller) / name
            if path.exists():
                found[name] = path.read_text().strip()
    return found


def _network(pid: int) -> Lines:
    every = looks.links_of(pid)
    kinds = ", ".join(sorted(f"{link.name} ({link.kind or 'own'})" for link in every
                             if link.kind in ("", "veth")))  # fmt: skip
    return {
        "links": kinds,
        "addresses of IPv4": str(len(looks.addresses_of(pid))),
        "MTU of eth0": ", ".join(str(link.mtu) for link in every if link.name == "eth0"),
    }


def _name(pid: int) -> Lines:
    return {"host name": looks.host_name(pid)}


def _descriptors(pid: int) -> Lines:
    held = {fd for one in looks.those_inside(pid) for fd in looks.descriptors(one)}
    # An init may have other files open, so only the command's are counted.
    leads_out = [fd for fd in looks.descriptors(pid) if fd > 2]
    return {"open files of the command": str(len(looks.descriptors(pid))),
            "beyond 0, 1 and 2": str(len(leads_out) if held else 0)}  # fmt: skip


def _guest(engines: _Engines) -> tuple[Lines, Lines]:
    one, guests = engines.sleeper(), (engines.sleeper(), engines.sleeper())
    engines.mini("run", "--image", f"{engines.folder}/image", "--name", "host", "--", *one)
    container = engines.run_labkit(engines.sleeper())
    first = pid_of(one), int(_pid(container))
    engines.mini("exec", "host", "--", *guests[0])
    engines.command("exec", str(container.name), *guests[1])
    found = []
    for of, guest in zip(first, map(pid_of, guests), strict=True):
        same = [kind for kind in looks.KINDS
                if looks.namespace(guest, kind) == looks.namespace(of, kind)]  # fmt: skip
        found.append({"namespaces shared with the container": ", ".join(same), **_powers(guest)})
    return found[0], found[1]


def _pid(container: Container) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def _stop(engines: _Engines) -> tuple[Lines, Lines]:
    one, other = engines.sleeper(), engines.sleeper()
    image = f"{engines.folder}/image"
    engines.mini("run", "--detach", "--name", "away", "--image", image, "--", *one).wait(20)
    container = engines.run_labkit(other)
    pids = pid_of(one), pid_of(other)
    engines.mini("stop", "away").wait(30)
    container.stop()
    gone = [{"the process, after stop": "still there" if words_of(pid) else "gone"} for pid in pids]
    return gone[0], gone[1]


COMMANDS: Mapping[str, Callable[[_Engines], tuple[Lines, Lines]]] = {
    "run sh -c 'exit 7'": _status("sh", "-c", "exit 7"),
    "run sh -c 'kill -9 $$'": _status("sh", "-c", "kill -9 $$"),
    "run sleep": _lines(_namespaces),
    "run --init sleep": _lines(_numbers),
    "run, and the mounts": _lines(_mounts),
    "run, and the powers": _lines(_powers),
    "run, and /proc": _lines(_covered),
    "run -h anna": _lines(_name, ("--name", "anna"), hostname="anna"),
    "run -m 64m --pids-limit 20 -c 512": _lines(
        _limits,
        ("--memory", str(LIMITS["memory"]), "--pids", "20", "--shares", "512"),
        mem_limit=LIMITS["memory"], pids_limit=LIMITS["pids"], cpu_shares=LIMITS["cpu"],
    ),
    "run, with a cable": _lines(_network, ("--address", "10.99.0.9"), network_mode="bridge"),
    "exec sleep": _guest,
    "run -d, stop": _stop,
}  # fmt: skip
