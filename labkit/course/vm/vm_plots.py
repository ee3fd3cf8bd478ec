"""The picture of `vm_and_container`: three pairs of bars, and whose kernel each of them has."""

from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.vm.vm_result import MIB, VmAndContainer

ACCELERATORS = {"kvm": "on the processor itself (KVM)", "tcg": "on an emulated processor"}


def plot_bars(result: VmAndContainer) -> Figure:
    """Time, memory and size of both, from 0, each with its number."""
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
        f"{vm.size_bytes / MIB:.1f} and {container.size_bytes / MIB:.1f} MiB. The machine has a "
        "kernel of its own, the container the host's."
    )
