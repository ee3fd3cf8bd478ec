"""The owners of the machine's subordinate ids, from /etc/subuid and /etc/subgid (subuid(5)).

The administrator writes these files: lines `name:first:count`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from labkit.dialect.numbers import whole

LARGEST_ID = 2**32 - 1
"""No user has this id: in system calls it stands for none (user_namespaces(7))."""
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
            case [name, *numbers] if len(numbers) == 2:
                first, count = (whole(number, 0, LARGEST_ID) for number in numbers)
                if first is not None and count and first + count <= LARGEST_ID:
                    yield Line(name, first, count)


def ranges(
    names: set[str], lines: Iterable[Line], taken: Sequence[IdRange] = ()
) -> tuple[IdRange, ...]:
    """Return the ranges of the user with one of these names, inside one after another.

    They begin inside after the ranges `taken`.  The kernel maps no id twice, so a range is left out
    if it has an id of an earlier one.
    """
    found = [*taken]
    for line in lines:
        if line.name in names and not any(_share(line, Line("", *known[1:])) for known in found):
            found.append((sum(ids for _, _, ids in found), line.first, line.ids))
    return tuple(found[len(taken) :])


def sharers(names: set[str], lines: Sequence[Line]) -> list[str]:
    """Return the other users that have ids of the user with one of these names, too."""
    own = [line for line in lines if line.name in names]
    return sorted(
        {line.name for line in lines if line.name not in names for one in own if _share(line, one)}
    )


def _share(one: Line, other: Line) -> bool:
    return one.first < other.first + other.ids and other.first < one.first + one.ids
