"""Demos for the projector: one screen each, controls at the left, the picture at the right.

`show("09")` as the only line of a cell is a demo; `DEMOS` lists them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from labkit.errors import NotFoundError

if TYPE_CHECKING:
    from labkit.course.demos.demo import Demo

DEMOS = {
    "01": "race.RaceDemo",
    "02": "talk.TalkDemo",
    "03": "stack.StackDemo",
    "04": "cache.CacheDemo",
    "05": "words.WordsDemo",
    "06": "one_byte.OneByteDemo",
    "07": "doors.DoorsDemo",
    "08": "states.StatesDemo",
    "08b": "stop.StopDemo",
    "09": "shares.SharesDemo",
    "09b": "memory.MemoryDemo",
    "09c": "disk.DiskDemo",
    "10": "folders.FoldersDemo",
    "11": "namespaces.NamespacesDemo",
    "12": "cables.CablesDemo",
    "12b": "packet.PacketDemo",
}
"""By number: the module below this package, and the class in it."""


def demo_class(number: str) -> "type[Demo]":
    """The class of a demo.  NotFoundError if there is none of that number."""
    if number not in DEMOS:
        raise NotFoundError(f"no demo {number}: there are {', '.join(DEMOS)}")
    module, _, name = DEMOS[number].partition(".")
    found: type[Demo] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


def show(number: str) -> "Demo":
    """Begin a demo: make this the last line of a cell."""
    return demo_class(number)()
