"""The result of `vm_and_container`: five figures of a virtual machine and of a container."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.microvm import Boot

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

MIB = 1 << 20

MEANINGS = {
    "kernel": "the machine starts, loads its kernel, and unpacks it",
    "first process": "the kernel looks for devices and sets itself up",
    "ready": "the first process mounts /proc, /sys and /dev",
}
"""The work before each of the machine's moments."""


@dataclass(frozen=True)
class Guest:
    """One of the two, measured from the host.

    `first_process_s`: from the command to start it until its first process has printed a line.
    `memory_bytes`: the memory of the host that it uses when idle (its processes, and the process
    that runs it; a page that n processes share counts as an n-th).  `size_bytes`: its files on
    disk.  `kernel`: the output of `uname -r` in it.  `processes`: the number of processes in it.
    """

    first_process_s: float
    memory_bytes: int
    size_bytes: int
    kernel: str
    processes: int


@dataclass(frozen=True)
class VmAndContainer:
    """The result; `machine` has more about the virtual machine's start."""

    machine: Boot
    vm: Guest
    container: Guest
    host_kernel: str

    @property
    def times_faster(self) -> float:
        """How many times sooner the container's first process ran."""
        return self.vm.first_process_s / self.container.first_process_s

    @property
    def times_less_memory(self) -> float:
        """How many times less of the host's memory the container uses."""
        return self.vm.memory_bytes / self.container.memory_bytes

    @property
    def times_smaller(self) -> float:
        """How many times smaller the container's files are."""
        return self.vm.size_bytes / self.container.size_bytes

    @property
    def holds(self) -> bool:
        """Whether the notes' sentence is true: smaller, faster, and with the host's kernel."""
        smaller_and_faster = min(self.times_faster, self.times_less_memory, self.times_smaller) > 1
        return smaller_and_faster and self.container.kernel == self.host_kernel

    def table(self) -> Table:
        """The figures, each in a row."""
        vm, container = self.vm, self.container
        return Table(
            ("", "virtual machine", "container"),
            (
                (
                    "time to the first process (s)",
                    f"{vm.first_process_s:.3f}",
                    f"{container.first_process_s:.3f}",
                ),
                ("memory of the host (MiB)", _mib(vm.memory_bytes), _mib(container.memory_bytes)),
                ("files on disk (MiB)", _mib(vm.size_bytes), _mib(container.size_bytes)),
                ("kernel", vm.kernel, container.kernel),
                ("processes in it", str(vm.processes), str(container.processes)),
            ),
        )

    def start_table(self) -> Table:
        """The stages of the virtual machine's start, with their times."""
        rows, before_s = [], 0.0
        for moment, meaning in MEANINGS.items():
            at_s = self.machine.moments[moment]
            rows.append((meaning, f"{at_s - before_s:.2f}", f"{at_s:.2f}"))
            before_s = at_s
        return Table(("what happens", "takes (s)", "is done at (s)"), tuple(rows))

    def plot(self) -> "Figure":
        """Draw three pairs of bars: time, memory, size; and the kernel of each."""
        return plot_bars(self)

    def __str__(self) -> str:
        return (
            f"the container's first process was there {self.times_faster:.0f} times sooner, with "
            f"{self.times_less_memory:.0f} times less memory and {self.times_smaller:.1f} times "
            f"smaller files"
        )

    __repr__ = __str__


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.1f}"


# The picture of `vm_and_container`: three pairs of bars, and the kernel of each.


ACCELERATORS = {"kvm": "on the processor itself (KVM)", "tcg": "on an emulated processor"}


def plot_bars(result: VmAndContainer) -> Figure:
    """Draw time, memory and size of both, from 0, each with its number."""
    vm, container = result.vm, result.container
    panels = (
        ("Time to the first process", "s", (vm.first_process_s, container.first_process_s)),
        ("Memory of the host", "MiB", (vm.memory_bytes / MIB, container.memory_bytes / MIB)),
        ("Files on disk", "MiB", (vm.size_bytes / MIB, container.size_bytes / MIB)),
    )
    with style.picture(height_in=2.9) as drawing:
        for number, (axes, panel) in enumerate(zip(drawing.subplots(1, 3), panels, strict=True)):
            _draw_pair(axes, *panel, named=number == 0)
        style.headline(drawing, _headline(result), ACCELERATORS[result.machine.accelerator])
        drawing.supxlabel(
            f"kernel of the virtual machine: {vm.kernel}, its own      "
            f"kernel of the container: {container.kernel}, the host's",
            fontsize=8.5,
            color=style.QUIET,
        )
    return Figure(drawing, alt=_alt(result), table=result.table())


def _draw_pair(axes: Any, title: str, unit: str, pair: tuple[float, float], *, named: bool) -> None:
    axes.barh([0, 1], pair, height=0.6, color=[style.colour(0), style.colour(3)])
    for row, value in enumerate(pair):
        axes.annotate(
            f"{value:.2f} s" if unit == "s" else f"{value:.1f} {unit}",
            (value, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
        )
    axes.set_yticks([0, 1], ["virtual\nmachine", "container"] if named else ["", ""])
    axes.tick_params(axis="y", length=0, labelcolor=style.INK)
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0, max(pair) * 1.6), ylim=(1.6, -0.6), xlabel=unit, title=title)


def _headline(result: VmAndContainer) -> str:
    return f"The container is there {result.times_faster:.0f} times sooner"


def _alt(result: VmAndContainer) -> str:
    vm, container = result.vm, result.container
    return (
        "Three pairs of bars, a virtual machine above a container. Time to the first process: "
        f"{vm.first_process_s:.2f} s and {container.first_process_s:.3f} s. Memory of the host: "
        f"{vm.memory_bytes / MIB:.0f} and {container.memory_bytes / MIB:.1f} MiB. Files on disk: "
        f"{vm.size_bytes / MIB:.1f} and {container.size_bytes / MIB:.1f} MiB. The machine has "
        "its own kernel, the container the host's."
    )
