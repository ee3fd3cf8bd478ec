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


class Rule(NamedTuple):
    """One file of a container's group, and the flag of `labkit run` that decides its value."""

    flag: str
    controller: str
    file: str
    value: Callable[[Limits, Machine], str]
    """The text to write, or "" to leave the file as the kernel made it."""


def text_of(number: int) -> str:
    """The number as the kernel reads it; "" for 0, which means that nothing was asked."""
    return str(number) if number else ""
