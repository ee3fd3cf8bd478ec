"""Memory, as /proc says it."""

import os
from typing import NamedTuple


class Memory(NamedTuple):
    """A process's share of the memory, in bytes.

    `proportional` (PSS) counts a page shared by n processes as an n-th; `private` (USS) is what
    would be free if it ended; `resident` (RSS) counts shared pages in full.
    """

    resident: int
    proportional: int
    private: int


def of(pid: int) -> Memory:
    """One process's memory, from `/proc/PID/smaps_rollup` (proc(5))."""
    kibibytes: dict[str, int] = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        next(file)
        for line in file:
            name, value, *_ = line.split()
            kibibytes[name.rstrip(":")] = int(value)
    private = kibibytes["Private_Clean"] + kibibytes["Private_Dirty"]
    return Memory(kibibytes["Rss"] << 10, kibibytes["Pss"] << 10, private << 10)


def peak(pid: int) -> int:
    """The most that a process has had resident so far, in bytes (proc(5), VmHWM)."""
    with open(f"/proc/{pid}/status") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmHWM"].split()[0]) << 10


def parent(pid: int) -> int:
    """A process's parent."""
    with open(f"/proc/{pid}/stat") as file:
        # The name, in parentheses, may itself hold spaces and parentheses.
        return int(file.read().rpartition(")")[2].split()[1])


def name(pid: int) -> str:
    """A process's name, as the kernel keeps it: at most fifteen characters."""
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def children(pid: int) -> list[int]:
    """The processes whose parent this is, over all its threads."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return found
