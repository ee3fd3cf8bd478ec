"""mini with a stopwatch: `python -m labkit.course.capstone.timed TIMES FILE WORDS…`.

It notes the beginning and the end of each call of labkit.kernel, in every process of the file.  The
notes are in memory that all copies of this process share, because no open file survives
close_range(2) and pivot_root(2).  The learner's file is not changed.
"""

import functools
import importlib
import json
import mmap
import os
import pathlib
import runpy
import sys
import time
from collections.abc import Callable
from struct import calcsize, pack_into, unpack_from
from typing import Any

CALLS = {
    "os": "execvpe",
    "pathlib.Path": "write_text",
    "capabilities": "drop_from_bounding_set set_capabilities",
    "mounts": "mount pivot_root unmount",
    "namespaces": "unshare set_hostname setns",
    "network.links": "make_bridge make_veth add_address add_default_route switch_on",
    "network.loopback": "bring_up",
    "processes": "clone close_all_but prctl",
    "seccomp": "load",
}
"""The functions that are timed, by their module; files are written for limits and records."""
ROOM = 400
"""The most calls of one process that are noted."""
PROCESSES = 3
"""mini itself, process 1, and the command before its exec; their numbers tell them apart."""
_ENTRY = "=HQQ"
_SIZE = calcsize(_ENTRY)
_NAMES = [f"{module}.{name}" for module, names in CALLS.items() for name in names.split()]


class _Notes:
    """The shared memory: an area for each process, with a count at its beginning."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, PROCESSES * (8 + ROOM * _SIZE))
        self._outer = os.getpid()

    def note(self, number: int, begin_ns: int, end_ns: int) -> None:
        pid = os.getpid()
        area = 0 if pid == self._outer else min(pid, PROCESSES - 1)
        at = area * (8 + ROOM * _SIZE)
        (count,) = unpack_from("=Q", self._memory, at)
        if count < ROOM:
            pack_into(_ENTRY, self._memory, at + 8 + count * _SIZE, number, begin_ns, end_ns)
            pack_into("=Q", self._memory, at, count + 1)

    def read(self) -> list[tuple[int, str, int, int]]:
        """(which process, which call, begin, end) of all, by their beginning."""
        found = []
        for area in range(PROCESSES):
            at = area * (8 + ROOM * _SIZE)
            (count,) = unpack_from("=Q", self._memory, at)
            for entry in range(count):
                number, begin, end = unpack_from(_ENTRY, self._memory, at + 8 + entry * _SIZE)
                found.append((area, _NAMES[number], begin, end))
        return sorted(found, key=lambda one: one[2])


def _timed(notes: _Notes, number: int, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def inside(*arguments: Any, **named: Any) -> Any:
        begin = time.monotonic_ns()
        if call.__name__.startswith("exec"):  # it does not return
            notes.note(number, begin, begin)
        result = call(*arguments, **named)
        # A clone returns in the child, too: only the parent notes it.
        if not (call.__name__ == "clone" and result[0] == 0):
            notes.note(number, begin, time.monotonic_ns())
        return result

    return inside


def _place(home: str) -> Any:
    if home == "pathlib.Path":
        return pathlib.Path
    return importlib.import_module(home if home == "os" else f"labkit.kernel.{home}")


def main() -> None:
    """Run the file with its calls timed, and write the times as JSON."""
    times, file, *words = sys.argv[1:]
    notes = _Notes()
    for number, name in enumerate(_NAMES):
        home, _, last = name.rpartition(".")
        place = _place(home)
        setattr(place, last, _timed(notes, number, getattr(place, last)))
    sys.argv = [file, *words]
    try:
        runpy.run_path(file, run_name="__main__")
    finally:
        with open(times, "w", encoding="utf-8") as target:
            json.dump(notes.read(), target)


if __name__ == "__main__":
    main()
