"""Two doors into a container, attach and exec: the process and the terminal behind each."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.limits.cpu_files import CpuFiles
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.course.page.terminal import DETACH, Terminal

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

SETTLE_S = 10.0
PTS_MAJOR = 136
"""The device number of pseudo-terminals (Documentation/admin-guide/devices.txt)."""


class Process(NamedTuple):
    """A process of the container, with its number on the host and inside, and its terminal."""

    command: str
    host_pid: int
    inner_pid: int
    terminal: str


class Door(NamedTuple):
    """The result for one door: the process that answered, all processes, the effect of `exit`."""

    verb: str
    answered_pid: int
    answered_terminal: str
    processes: tuple[Process, ...]
    status_after_exit: str


@dataclass(frozen=True)
class Doors:
    """The result of `doors`."""

    attach: Door
    exec: Door

    @property
    def holds(self) -> bool:
        """Whether attach reaches process 1 and ends it, and exec makes and ends another one."""
        return (
            (self.attach.answered_pid, self.attach.status_after_exit) == (1, "exited")
            and len(self.attach.processes) == 1
            and self.exec.answered_pid != 1
            and self.exec.status_after_exit == "running"
            and len(self.exec.processes) == 2
            and self.attach.answered_terminal != self.exec.answered_terminal
        )

    def table(self) -> Table:
        """A row for each process at each door."""
        return Table(
            ("door", "process", "PID inside", "PID on the host", "terminal", "after exit"),
            tuple(
                (
                    door.verb,
                    one.command + (" (you)" if one.inner_pid == door.answered_pid else ""),
                    str(one.inner_pid),
                    str(one.host_pid),
                    one.terminal,
                    f"the container is {door.status_after_exit}",
                )
                for door in (self.attach, self.exec)
                for one in door.processes
            ),
        )

    def plot(self) -> "Figure":
        """Draw both doors side by side."""
        return plot_doors(self)


def doors(*, client: Client | None = None) -> Doors:
    """Enter a container with a shell as first process by both doors, and leave by `exit`."""
    client = client or connect()
    with Crew(client, "doors", lifetime_s=60) as crew:
        box = crew.hire_plain("doors", ["sh"], tty=True, stdin_open=True)
        with Terminal(["attach", box.id]) as terminal:
            first = _answer(terminal)
            alone = processes(box)
            terminal.press(DETACH)
            terminal.end()
        with Terminal(["exec", "-it", box.id, "sh"]) as terminal:
            second = _answer(terminal)
            both = processes(box)
            terminal.press(b"exit\n")
            terminal.end()
        after_exec = _status(box, "exited", patience_s=0.5)
        with Terminal(["attach", box.id]) as terminal:
            _answer(terminal)
            terminal.press(b"exit\n")
            terminal.end()
        after_attach = _status(box, "exited", patience_s=SETTLE_S)
    return Doors(
        Door("attach", *first, alone, after_attach), Door("exec", *second, both, after_exec)
    )


def _answer(terminal: Terminal) -> tuple[int, str]:
    """The process that answers: `$$` is a shell's own number, tty(1) its terminal."""
    pid, name = terminal.ask("echo $$ $(tty)").split()
    return int(pid), name


def _status(box: Container, awaited: str, patience_s: float) -> str:
    """The container's status when it is the awaited one, or after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while True:
        box.reload()
        if box.status == awaited or time.monotonic() > deadline:
            return box.status
        time.sleep(0.05)


def processes(box: Container) -> tuple[Process, ...]:
    """The processes of the container's control group, from /proc (proc(5))."""
    box.reload()
    pids = CpuFiles.of_process(int(box.attrs["State"]["Pid"])).pids()
    return tuple(sorted(map(_process, pids), key=lambda one: one.inner_pid))


def _process(pid: int) -> Process:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        command, _, fields = file.read().partition("(")[2].rpartition(") ")
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        numbers = next(line.split() for line in file if line.startswith("NSpid:"))
    return Process(command, pid, int(numbers[-1]), _terminal(int(fields.split()[4])))


def _terminal(device: int) -> str:
    """The name of a controlling terminal, from its device number (tty_nr in proc(5))."""
    major, minor = (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00)
    return f"/dev/pts/{minor}" if major == PTS_MAJOR else "none"


# The picture of `doors`: two panels, each with the reader, the container, and its processes.


def plot_doors(result: Doors) -> Figure:
    """Draw attach at the left, exec at the right; an arrow leads from you to the process."""
    with style.picture(height_in=3.3) as drawing:
        both = drawing.subplots(1, 2)
        for axes, door in zip(both, (result.attach, result.exec), strict=True):
            _draw(axes, door)
        style.headline(drawing, "attach joins process 1, exec starts a new process")
    each = " ".join(_words(door) for door in (result.attach, result.exec))
    alt = f"Two panels, each with you above and a container with its processes below. {each}"
    return Figure(drawing, alt=alt, table=result.table())


def _words(door: Door) -> str:
    inside = ", ".join(f"{one.command} {one.inner_pid} on {one.terminal}" for one in door.processes)
    return (
        f"{door.verb} reaches process {door.answered_pid}; in the container: {inside}; "
        f"after exit the container is {door.status_after_exit}."
    )


def _draw(axes: Any, door: Door) -> None:
    axes.set(xlim=(0, 10), ylim=(0, 8.5))
    axes.set_axis_off()
    axes.set_title(f"docker {door.verb}")
    _box(axes, (0.3, 1.1), (9.4, 4.4), "#F3F5F7", style.QUIET)
    axes.text(0.6, 5.0, "the container", color=style.QUIET, fontsize=8.5, va="center")
    places = {1: (3.0 if len(door.processes) > 1 else 5.0)}
    for one in door.processes:
        x = places.get(one.inner_pid, 7.2)
        _draw_process(axes, x, one, is_reached=one.inner_pid == door.answered_pid)
        if one.inner_pid == door.answered_pid:
            _you(axes, x)
    axes.text(
        5,
        0.35,
        f"after exit, the container is {door.status_after_exit}",
        ha="center",
        va="center",
        fontweight="bold",
        color=style.readable(1 if door.status_after_exit == "exited" else 2),
    )


def _you(axes: Any, x: float) -> None:
    _box(axes, (x - 1.9, 7.0), (3.8, 1.3), "white", style.INK)
    axes.text(x, 7.65, "you, at a terminal", ha="center", va="center")
    axes.annotate(
        "",
        (x, 4.35),
        xytext=(x, 6.95),
        arrowprops={"arrowstyle": "<|-|>", "color": style.INK, "linewidth": 1.8},
    )


def _draw_process(axes: Any, x: float, one: Process, *, is_reached: bool) -> None:
    tone = style.colour(0) if is_reached else "white"
    ink = "white" if is_reached else style.INK
    _box(axes, (x - 1.95, 1.6), (3.9, 2.7), tone, style.colour(0))
    words = (f"{one.command}: process {one.inner_pid}", f"on the host {one.host_pid}", one.terminal)
    for line, text in enumerate(words):
        weight = "normal" if line else "bold"
        y = 3.75 - 0.8 * line
        axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=8.5, fontweight=weight)


def _box(axes: Any, corner: tuple[float, float], size: tuple[float, float], *tones: str) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only drawing needs it

    face, edge = tones
    shape = "round,pad=0,rounding_size=0.25"
    axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=shape, facecolor=face, edgecolor=edge))
