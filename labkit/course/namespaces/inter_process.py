"""IPC: a System V semaphore and shared memory, made in one container and looked for in others.

A thread that has entered the container's IPC namespace looks for them (`course.system_v`).  The
kernel's list of them is read inside, from /proc/sysvipc.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures.table import Table
from labkit.course.namespaces import system_v
from labkit.course.namespaces.namespace_map import said_inside
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect

KEY = 0x1AB
VALUE = 42
TEXT = "hello from one"
LISTING = "/proc/sysvipc/shm"
NOTHING = "no such key"


class Seen(NamedTuple):
    """The result of one search for the key."""

    who: str
    inode: int
    """The inode number of its IPC namespace."""
    found: system_v.Found
    is_listed: bool
    """Whether the key is in the kernel's own list, read inside."""


@dataclass(frozen=True)
class InterProcess:
    """The results of all searches; the first is of the container that made both."""

    seen: tuple[Seen, ...]

    @property
    def holds(self) -> bool:
        """Whether searches in the maker's namespace find both, and all others find nothing."""
        home = self.seen[0].inode
        both, nothing = system_v.Found(VALUE, TEXT), system_v.Found(None, None)
        return all(
            (one.found, one.is_listed) == ((both, True) if one.inode == home else (nothing, False))
            for one in self.seen
        )

    def table(self) -> Table:
        """A row for each search."""
        return Table(
            ("container", "IPC namespace", "semaphore", "shared memory", LISTING),
            tuple(
                (
                    one.who,
                    f"[{one.inode}]",
                    NOTHING if one.found.semaphore is None else f"at {one.found.semaphore}",
                    NOTHING if one.found.text is None else f'"{one.found.text}"',
                    "lists it" if one.is_listed else "does not",
                )
                for one in self.seen
            ),
            f"Under the key {KEY:#x}",
        )


def inter_process(*, client: Client | None = None) -> InterProcess:
    """Make both in *one*; look for them in *one*, in *three*, which joined it, *two*, the host."""
    client = client or connect()
    with Crew(client, "ipc", lifetime_s=60) as crew:
        one = crew.hire_plain("one", ["sleep", "60"], ipc_mode="shareable")
        two = crew.hire_plain("two", ["sleep", "60"])
        three = crew.hire_plain("three", ["sleep", "60"], ipc_mode=f"container:{one.id}")
        system_v.in_ipc_of(_pid(one), lambda: system_v.make(KEY, VALUE, TEXT))
        asked = {"one, which has made both": one, "three, --ipc container:one": three, "two": two}
        seen = [_seen(who, _pid(box), _listing(box)) for who, box in asked.items()]
        return InterProcess((*seen, _seen("the host", os.getpid(), Path(LISTING).read_text())))


def _pid(container: Container) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def _listing(container: Container) -> str:
    return said_inside(container, "cat", LISTING)


def _seen(who: str, pid: int, listing: str) -> Seen:
    found = system_v.in_ipc_of(pid, lambda: system_v.find(KEY))
    inode = os.stat(f"/proc/{pid}/ns/ipc").st_ino
    return Seen(who, inode, found, KEY in system_v.keys(listing))
