"""The parts of an exercise, and the way to find the exercises of a chapter.

A chapter's exercises are a module with a tuple `EXERCISES`: `labkit.course.exercises.ex09`, or
`ex09.py` in an instructor's folder.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from labkit.course.exercises.drawing import Dice, Values
from labkit.course.exercises.finding import Finding
from labkit.course.exercises.place import Place
from labkit.errors import NotFoundError

Memo = dict[str, Any]
"""The notes of a scene for the judge, as JSON."""
FOLDER_VARIABLE = "LABKIT_EXERCISES"
"""The environment variable that names an instructor's folder; it is looked at first."""
NUMBER = re.compile(r"(?:ex)?(\d\d)[.-](\d+)")


def no_scene(place: Place, values: Values) -> Memo:
    """Lay nothing: the learner begins without any object."""
    return {}


def no_tidying(place: Place, values: Values) -> None:
    """Remove nothing more: `tidying` removes all objects with the exercise's mark."""


class Exercise(NamedTuple):
    """One exercise."""

    number: str
    """Of its chapter: "09.2"."""
    title: str
    statement: str
    """Markdown; `{name}` stands for a drawn value."""
    points: int
    draw: Callable[[Dice], Mapping[str, Any]]
    judge: Callable[[Place, Values, Memo], Sequence[Finding]]
    """The points of its findings are `points` together.  MachineFaultError, LabkitError."""
    scene: Callable[[Place, Values], Memo] = no_scene
    tidy: Callable[[Place, Values], None] = no_tidying

    def values(self, token: str) -> Values:
        """Draw the values for the learner with this token."""
        dice = Dice(token, self.number)
        return Values(dice.mark, self.draw(dice))

    def text(self, values: Mapping[str, Any]) -> str:
        """The statement with the drawn values."""
        return self.statement.format_map(values)


def split(number: str) -> tuple[str, str]:
    """Chapter and exercise: `09.2`, `ex09.2` and `ex09-2` are ("09", "2"); NotFoundError."""
    found = NUMBER.fullmatch(number)
    if found is None:
        raise NotFoundError(
            f"{number!r} is not an exercise: its name must be a chapter and a number, such as 09.2"
        )
    return found[1], found[2]


def find(number: str, folder: str = "") -> Exercise:
    """The exercise with this number; NotFoundError."""
    chapter, place = split(number)
    for exercise in of_chapter(chapter, folder):
        if exercise.number == f"{chapter}.{place}":
            return exercise
    raise NotFoundError(f"chapter {int(chapter)} has no exercise {chapter}.{place}")


def of_chapter(chapter: str, folder: str = "") -> tuple[Exercise, ...]:
    """The exercises of a chapter (`09`), from the instructor's folder if it has them.

    NotFoundError if there are none.
    """
    folder = folder or os.environ.get(FOLDER_VARIABLE, "")
    path = os.path.abspath(f"{folder}/ex{chapter}.py")
    if folder and os.path.exists(path):
        return _from_file(path)
    name = f"labkit.course.exercises.ex{chapter}"
    if importlib.util.find_spec(name) is None:
        raise NotFoundError(f"chapter {chapter} has no exercises")
    module = importlib.import_module(name)
    # Where a notebook is graded the module is empty: the judges are outside.
    return tuple(getattr(module, "EXERCISES", ()))


def chapters(folder: str = "") -> list[str]:
    """The chapters that have exercises: `["03", "09"]`."""
    places = [os.path.dirname(__file__), folder or os.environ.get(FOLDER_VARIABLE, "")]
    names = [
        name for place in places if place and os.path.isdir(place) for name in os.listdir(place)
    ]
    return sorted({name[2:4] for name in names if re.fullmatch(r"ex\d\d\.py", name)})


def _from_file(path: str) -> tuple[Exercise, ...]:
    name = f"labkit_exercises_{os.path.basename(path)[:-3]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotFoundError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return tuple(module.EXERCISES)
