"""Memory, from /proc."""

import os
from typing import NamedTuple


class Memory(NamedTuple):
    """A process's memory, in bytes.

    `proportional` (PSS) counts a page shared by n processes as 1/n; `private` (USS) would be free
    after its end; `resident` (RSS) counts shared pages in full.
    """

    resident: int
    proportional: int
    private: int


def of(pid: int) -> Memory:
    """Return one process's memory, from `/proc/PID/smaps_rollup` (proc(5))."""
    kibibytes: dict[str, int] = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        next(file)
        for line in file:
            name, value, *_ = line.split()
            kibibytes[name.rstrip(":")] = int(value)
    private = kibibytes["Private_Clean"] + kibibytes["Private_Dirty"]
    return Memory(kibibytes["Rss"] << 10, kibibytes["Pss"] << 10, private << 10)


def peak(pid: int) -> int:
    """Return the peak of a process's resident memory, in bytes (proc(5), VmHWM)."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmHWM"].split()[0]) << 10


def parent(pid: int) -> int:
    """Return a process's parent."""
    with open(f"/proc/{pid}/stat") as file:
        # The name, in parentheses, may itself hold spaces and parentheses.
        return int(file.read().rpartition(")")[2].split()[1])


def name(pid: int) -> str:
    """Return a process's name, as the kernel keeps it: at most fifteen characters."""
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def children(pid: int) -> list[int]:
    """Return the children of a process, over all its threads."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return found
