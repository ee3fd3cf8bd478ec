"""What `vm_and_container` found: the same five figures of a virtual machine and of a container."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
"""What lies before each of the machine's moments."""


@dataclass(frozen=True)
class Guest:
    """One of the two, measured from the host.

    `first_process_s`: from the command to start it until its first process has said a word.
    `memory_bytes`: what it takes of the host's memory when it idles (its processes and whatever
    keeps it; a page that n processes share counts as an n-th).  `size_bytes`: its files on disk.
    `kernel`: what `uname -r` says in it.  `processes`: how many there are in it.
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
        """How many times sooner the container's first process was there."""
        return self.vm.first_process_s / self.container.first_process_s

    @property
    def times_less_memory(self) -> float:
        """How many times less memory of the host the container takes."""
        return self.vm.memory_bytes / self.container.memory_bytes

    @property
    def times_smaller(self) -> float:
        """How many times smaller the container's files are."""
        return self.vm.size_bytes / self.container.size_bytes

    @property
    def holds(self) -> bool:
        """Whether the notes' sentence is true of them: smaller, faster, and the host's kernel."""
        smaller_and_faster = min(self.times_faster, self.times_less_memory, self.times_smaller) > 1
        return smaller_and_faster and self.container.kernel == self.host_kernel

    def table(self) -> Table:
        """The figures, one row each."""
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
        """What the virtual machine was doing all that time."""
        rows, before_s = [], 0.0
        for moment, meaning in MEANINGS.items():
            at_s = self.machine.moments[moment]
            rows.append((meaning, f"{at_s - before_s:.2f}", f"{at_s:.2f}"))
            before_s = at_s
        return Table(("what happens", "takes (s)", "is done at (s)"), tuple(rows))

    def plot(self) -> "Figure":
        """Three pairs of bars: time, memory, size; and whose kernel each has."""
        from labkit.course.vm.vm_plots import plot_bars  # noqa: PLC0415 matplotlib

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
