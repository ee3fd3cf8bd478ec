"""The parts of a row of the tables in `v1` and `v2`."""

from collections.abc import Callable
from typing import NamedTuple

from labkit.cgroups.limits import Limits


class Machine(NamedTuple):
    """The facts, besides the limits, on which the values of some files depend."""

    cpus: str = "0"
    """The CPUs and memory nodes of a new v1 cpuset, as in `0-3`: it must never be empty."""
    mems: str = "0"
    swap_accounting: bool = True
    """Whether swap can be limited: some kernels leave it out or need `swapaccount=1`."""
    weight_file: str = ""
    """The file for a weight on disks, `io.bfq.weight` or another; "" if there is none."""


class Rule(NamedTuple):
    """One file of a container's group, and the flag of `labkit run` that decides its value."""

    flag: str
    controller: str
    file: str
    value: Callable[[Limits, Machine], str]
    """The text to write, or "" to leave the kernel's value.

    Each of several lines is one write: the kernel takes limits on disks one disk at a time.
    """


def text_of(number: int) -> str:
    """Return the number as text; "" for 0, which means that no limit was asked."""
    return str(number) if number else ""


def weight_for(file: str) -> Callable[[Limits, Machine], str]:
    """Return the weight on disks, if `file` is the one of several that exists here."""
    return lambda limits, machine: (
        text_of(limits.blkio_weight) if machine.weight_file == file else ""
    )


def disk_lines(kind: str, form: str = "{device} {value}") -> Callable[[Limits, Machine], str]:
    """Return a line for each disk with a limit of this kind."""
    return lambda limits, _: "\n".join(
        form.format(device=limit.device, value=limit.value)
        for limit in limits.disks
        if limit.kind == kind and limit.value
    )


def weight_lines(file: str) -> Callable[[Limits, Machine], str]:
    """Return a line for each disk with its own weight, if the scheduler here is BFQ (`file`)."""
    lines = disk_lines("weight")
    return lambda limits, machine: lines(limits, machine) if machine.weight_file == file else ""
