"""Demo 11: two containers, and switches by which one takes the other's namespaces.

A namespace is chosen when a process is made, so each switch starts *two* again with other flags;
the picture is what the kernel then says of both.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.client.containers import Container
from labkit.course.demos.canvas import PALE, QUIET, WHITE, Canvas
from labkit.course.demos.controls import Choice
from labkit.course.demos.demo import Demo
from labkit.course.figures import style
from labkit.course.namespaces import system_v
from labkit.course.namespaces.inter_process import KEY, TEXT, VALUE
from labkit.course.namespaces.namespace_map import KINDS, NamespaceMap, map_of, said_inside
from labkit.course.page.owners import remove
from labkit.errors import LabkitError

OWN, HOST, ONE = "own", "host", "one"
SHARED = {HOST: "host", ONE: "container:{one}"}


class Switch(NamedTuple):
    """A flag whose namespace can be chosen."""

    flag: str
    what: str
    option: str
    """Its name in `containers.run`."""
    words: Mapping[str, str]
    """The flag's value for each choice, the first being the one to begin with.  `{one}` is the
    other container; an empty value leaves the flag out."""


SWITCHES: Mapping[str, Switch] = {
    "pid": Switch("--pid", "processes", "pid_mode", {OWN: "", **SHARED}),
    "ipc": Switch("--ipc", "shared memory", "ipc_mode", {OWN: "", **SHARED}),
    "net": Switch("--network", "interfaces", "network_mode", {OWN: "none", **SHARED}),
    "uts": Switch("--uts", "host name", "uts_mode", {OWN: "", HOST: "host"}),
    "cgroup": Switch("--cgroupns", "groups", "cgroupns", {OWN: "", HOST: "host"}),
    "user": Switch("--userns", "users", "userns_mode", {HOST: "", OWN: "private"}),
}
"""By the kind's name in /proc/<pid>/ns."""
ASKED = (
    f"hostname; grep -qw {KEY} /proc/sysvipc/shm && echo found || echo no such key; "
    "grep -m 1 -E ':(memory|):' /proc/self/cgroup | cut -d : -f 3"
)
LEFT, CELL, ROW = 100.0, 100.0, 60.0


class NamespacesDemo(Demo):
    """The namespaces that two containers share, and the view from inside the second."""

    number = "11"
    title = "Whose namespaces?"
    say = (
        "Each switch starts two again with one flag more or less; equal colours are one namespace."
    )
    surprise = "With --pid host, two sees every process of the machine, and one keeps its own view."
    controls = tuple(
        Choice(kind, f"{switch.flag} ({switch.what})", tuple(switch.words))
        for kind, switch in SWITCHES.items()
    )

    def begin(self) -> None:
        """Start both, and leave a piece of shared memory in *one*."""
        self.modes = {kind: next(iter(switch.words)) for kind, switch in SWITCHES.items()}
        self._one = self._hire("one", ipc_mode="shareable", network_mode="bridge")
        system_v.in_ipc_of(_pid(self._one), lambda: system_v.make(KEY, VALUE, TEXT))
        self._two = self._hire("two", **self._options(self.modes))

    def act(self, key: str) -> None:
        """Start *two* again; if the engine refuses, everything stays as it was."""
        modes = self.modes | {key: str(self.values[key])}
        try:
            two = self._hire("two", **self._options(modes))
        except LabkitError:
            self.values[key] = self.modes[key]
            raise
        remove(self._two)
        self._two, self.modes = two, modes

    @property
    def command(self) -> str:
        """How *two* was started."""
        words = [f"{SWITCHES[kind].flag} {word}" for kind, word in self._words(self.modes, "one")]
        return " ".join(["docker run", *words, "busybox sleep 3600"])

    def map(self) -> NamespaceMap:
        """Return the namespaces of both, read from the kernel."""
        return map_of({"one": self._one, "two": self._two})

    def facts(self) -> dict[str, str]:
        """Return the view from inside *two*.

        Processes are counted from outside: a question inside would add some.
        """
        pid = _pid(self._two)
        host_name, memory, group = said_inside(self._two, "sh", "-c", ASKED).splitlines()
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            interfaces = len(file.readlines()) - 2
        with open(f"/proc/{pid}/uid_map", encoding="ascii") as file:
            root = file.read().split()[1]
        processes = sum(name.isdigit() for name in os.listdir(f"/proc/{pid}/root/proc"))
        return {
            "host name": host_name,
            "processes it sees": str(processes),
            "memory of one": memory,
            "interfaces": str(interfaces),
            "its root is, on the host, user": root,
            "its group": f"{group[:24]}…" if len(group) > 25 else group,
        }

    def draw(self) -> Canvas:
        """The map above, the facts below it, the command at the end."""
        found = self.map()
        canvas = Canvas(
            "A row for the host, one and two; a column for each kind of namespace. "
            + " ".join(
                f"{kind}: two shares with {', '.join(found.shared_with('two', kind)) or 'none'}."
                for kind in KINDS
            )
        )
        for column, kind in enumerate(KINDS):
            owners: dict[int, int] = {}
            x = LEFT + column * CELL
            canvas.words((x + CELL / 2, 24), kind, anchor="middle", bold=True)
            for row, one in enumerate(found.residents):
                owner = owners.setdefault(one.inodes[kind], row)
                face = style.readable(owner - 1) if owner else PALE
                number = f"{one.inodes[kind] % 100000:05}"
                canvas.box(
                    (x + 3, 36 + row * ROW), (CELL - 6, ROW - 8), number, face=face, edge=face
                )
        for row, one in enumerate(found.residents):
            canvas.words((6, 36 + row * ROW + 34), one.name.removeprefix("the "), bold=True)
        canvas.words((LEFT, 240), "same number, same colour: the same namespace", ink=QUIET)
        canvas.words((6, 282), "What two sees", bold=True)
        for row, (asked, answer) in enumerate(self.facts().items()):
            canvas.words((6, 314 + row * 29), asked)
            canvas.words((390, 314 + row * 29), answer, bold=True, width=500)
        canvas.box((0, 482), (900, 36), self.command, face=WHITE, edge=WHITE, code=True, bold=False)
        return canvas

    def _hire(self, name: str, **options: Any) -> Container:
        container = self.crew.hire_plain(name, ["sleep", "3600"], **options)
        container.reload()
        return container

    def _options(self, modes: Mapping[str, str]) -> dict[str, str]:
        words = self._words(modes, self._one.id)
        return {SWITCHES[kind].option: word for kind, word in words}

    def _words(self, modes: Mapping[str, str], one: str) -> list[tuple[str, str]]:
        """The flags' values, by kind, without those that are the default."""
        said = {kind: SWITCHES[kind].words[mode].format(one=one) for kind, mode in modes.items()}
        return [(kind, word) for kind, word in said.items() if word]


def _pid(container: Container) -> int:
    return int(container.attrs["State"]["Pid"])
