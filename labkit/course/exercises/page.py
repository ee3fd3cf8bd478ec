"""The functions for an exercise's notebook: `task`, `check` and `finish`."""

import json
import os
from typing import Any

from labkit.course.exercises import exercise as exercises
from labkit.course.exercises import record
from labkit.course.exercises.card import CheckPanel, card
from labkit.course.exercises.check import GRADED_VARIABLE, lay, local_place, outcome
from labkit.course.exercises.drawing import Values
from labkit.course.exercises.tidying import tidy
from labkit.course.page.lab import connect

VALUES_VARIABLE = "LABKIT_VALUES"
"""Set while a notebook is graded: the drawn values of its exercises, as JSON."""
NBGRADER_VARIABLE = "NBGRADER_EXECUTION"


class Task:
    """An exercise with the learner's own values: shown as text, and each value as an attribute."""

    def __init__(self, number: str, title: str, text: str, values: Values) -> None:
        self.number, self.title, self.text, self.values = number, title, text, values

    def __getattr__(self, name: str) -> Any:
        return getattr(self.values, name)

    def __repr__(self) -> str:
        return f"{self.number} {self.title}\n\n{self.text}".strip()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            "text/plain": repr(self),
            "text/markdown": f"**{self.number} {self.title}**\n\n{self.text}",
            record.TASK_MEDIA_TYPE: {"exercise": self.number, "learner": record.token()},
        }


def task(number: str) -> Task:
    """Lay the scene of an exercise, and return its statement with the learner's own values."""
    chapter, place = exercises.split(number)
    number = f"{chapter}.{place}"
    if os.environ.get(GRADED_VARIABLE):
        drawn = json.loads(os.environ.get(VALUES_VARIABLE, "{}")).get(number, {})
        return Task(number, "", "", Values("", drawn))
    exercise = exercises.find(number)
    values = exercise.values(record.token())
    here = local_place()
    record.keep_memo(number, lay(exercise, here, record.token()))
    shown = Values(values.mark, {**values, "disk": here.disk or NO_DISK, "folder": here.folder})
    return Task(number, exercise.title, exercise.text(shown), shown)


NO_DISK = "(no lab disk yet)"


def check(number: str) -> "CheckPanel | float | None":
    """Judge an exercise now: a card with the points, and a hint if something is missing.

    Its button judges again.

    nbgrader reads the points from the value of the cell.
    """
    if os.environ.get(GRADED_VARIABLE):
        print("This run is graded: the judge looks from outside of the notebook.")
        return None
    panel = CheckPanel(lambda: card(outcome(number)))
    return float(panel.card.points) if os.environ.get(NBGRADER_VARIABLE) else panel


def finish(chapter: str) -> None:
    """Remove all objects that the exercises of a chapter have made."""
    if os.environ.get(GRADED_VARIABLE):
        return
    place = local_place(connect())
    for exercise in exercises.of_chapter(chapter):
        tidy(exercise, place, exercise.values(record.token()))
    print(f"Removed what the exercises of chapter {int(chapter)} had made.")
