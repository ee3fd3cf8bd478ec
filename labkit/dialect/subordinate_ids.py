"""The owners of the machine's subordinate ids, from /etc/subuid and /etc/subgid (subuid(5)).

The administrator writes these files: lines `name:first:count`.
"""

from collections.abc import Iterable
from typing import NamedTuple

IdRange = tuple[int, int, int]
"""The first id inside a user namespace, the first id outside, and how many."""


class Line(NamedTuple):
    """The ids from `first` on belong to a user, given by name or number."""

    name: str
    first: int
    ids: int


def read(path: str) -> list[Line]:
    """Return the lines of such a file; none if it is missing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return list(parse(file.read()))
    except FileNotFoundError:
        return []


def parse(text: str) -> Iterable[Line]:
    """Return the lines of a text; a line of any other form is ignored."""
    for line in text.splitlines():
        match line.strip().split(":"):
            case [name, first, count] if first.isdecimal() and count.isdecimal() and int(count):
                yield Line(name, int(first), int(count))


def ranges(names: set[str], lines: Iterable[Line], first_inside: int = 0) -> tuple[IdRange, ...]:
    """Return the ranges of the user with one of these names, one after another."""
    found: list[IdRange] = []
    for line in lines:
        if line.name in names:
            found.append((first_inside, line.first, line.ids))
            first_inside += line.ids
    return tuple(found)
