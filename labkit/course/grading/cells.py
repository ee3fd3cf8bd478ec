"""The exercise that each cell of a submission belongs to.

By its grade id (`answer-09-2`, also as the cell's own id), else by a mark (`# ex09.2`), else by
what it calls (`task("09.2")`), else by order: it belongs to the exercise of the cell before it.  So
a cell that was split, copied or moved keeps its exercise.
"""

import re
from typing import Any

_ID = re.compile(r"(?:task|answer|check|ex)-?(\d\d)-(\d+)\b")
_MARK = re.compile(r"^\s*#\s*ex(\d\d)[.-](\d+)\b", re.MULTILINE)
_CALL = re.compile(r"\b(?:task|check)\(\s*[\"'](?:ex)?(\d\d)[.-](\d+)[\"']\s*\)")


def exercise_of(cell: Any) -> str:
    """The number of the exercise that the cell itself names, "" if it names none."""
    grade_id = str(cell.get("metadata", {}).get("nbgrader", {}).get("grade_id", ""))
    source = str(cell.get("source", ""))
    for found in (
        _ID.match(grade_id),
        _ID.match(str(cell.get("id", ""))),
        _MARK.search(source),
        _CALL.search(source),
    ):
        if found:
            return f"{found[1]}.{found[2]}"
    return ""


def owners(cells: list[Any]) -> list[str]:
    """For each cell its exercise, "" for those before the first one."""
    found, current = [], ""
    for cell in cells:
        current = exercise_of(cell) or current
        found.append(current)
    return found


def code(cells: list[Any]) -> list[tuple[int, str]]:
    """The index and the exercise of each cell that runs."""
    pairs = enumerate(owners(cells))
    return [(at, number) for at, number in pairs if cells[at].get("cell_type") == "code"]


def ends_run(cells: list[tuple[int, str]], place: int) -> bool:
    """Whether the cell at this place of `code` is the last one before another exercise's."""
    return place + 1 == len(cells) or cells[place + 1][1] != cells[place][1]
