"""What a row of the tables in `v1` and `v2` is made of."""

from collections.abc import Callable
from typing import NamedTuple

from labkit.cgroups.limits import Limits


class Machine(NamedTuple):
    """What the values of some files depend on besides the limits."""

    cpus: str = "0"
    """The CPUs and memory nodes a v1 cpuset starts from, as in `0-3`: it must never be empty."""
    mems: str = "0"
    swap_accounting: bool = True
    """Whether swap can be limited: some kernels leave it out or need `swapaccount=1`."""
    weight_file: str = ""
    """The file that takes a weight on disks, `io.bfq.weight` or another; "" if there is none."""


class Rule(NamedTuple):
    """One file of a container's group, and the flag of `labkit run` that decides its value."""

    flag: str
    controller: str
    file: str
    value: Callable[[Limits, Machine], str]
    """The text to write, or "" to leave the file as the kernel made it.

    Several lines are as many writes: what is said of disks is taken one disk at a time.
    """


def text_of(number: int) -> str:
    """The number as the kernel reads it; "" for 0, which means that nothing was asked."""
    return str(number) if number else ""


def weight_for(file: str) -> Callable[[Limits, Machine], str]:
    """The weight on disks, for the one file of several that takes it here."""
    return lambda limits, machine: (
        text_of(limits.blkio_weight) if machine.weight_file == file else ""
    )


def disk_lines(kind: str, form: str = "{device} {value}") -> Callable[[Limits, Machine], str]:
    """A line for each disk with a limit of this kind."""
    return lambda limits, _: "\n".join(
        form.format(device=limit.device, value=limit.value)
        for limit in limits.disks
        if limit.kind == kind and limit.value
    )


def weight_lines(file: str) -> Callable[[Limits, Machine], str]:
    """A line for each disk with a weight of its own, if weights are BFQ's here: `file` is."""
    lines = disk_lines("weight")
    return lambda limits, machine: lines(limits, machine) if machine.weight_file == file else ""
