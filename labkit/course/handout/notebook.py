"""The notebook of a chapter's exercises: a task, an answer cell and a check for each.

The cells have nbgrader's metadata (schema 3), so that nbgrader's own tools accept them.
"""

from collections.abc import Sequence
from typing import Any

from labkit.course.exercises.exercise import Exercise

METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}
LOAD = "%load_ext labkit.course\n\nfrom labkit.course.exercises import check, finish, task"
ANSWER = "# Your answer to {number}: commands (%docker …), Python, or a terminal\n"


def build(chapter: str, title: str, exercises: Sequence[Exercise]) -> dict[str, Any]:
    """Make the notebook, in version 4 of the format."""
    cells = [
        _markdown(
            "title",
            f"# Exercises for chapter {int(chapter)}. {title}\n\n"
            "Each task draws values of your own. Any way to do it is fine: commands, Python, or a "
            "terminal. `check` asks the kernel what is there; it never reads what you printed. Run "
            "a task's cell again to begin it again.",
        ),
        _code("load", LOAD),
    ]
    for exercise in exercises:
        cells += _cells(exercise)
    cells += [
        _markdown("clean-up-text", "## Clean up"),
        _code("clean-up", f'finish("{chapter}")'),
    ]
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def _cells(exercise: Exercise) -> list[dict[str, Any]]:
    number, name = exercise.number, exercise.number.replace(".", "-")
    heading = f"## {number} {exercise.title} ({exercise.points} points)"
    name_of_task = f"t{name.replace('-', '_')}"
    task = f'{name_of_task} = task("{number}")\n{name_of_task}'
    return [
        _markdown(f"text-{name}", heading),
        _code(f"task-{name}", task),
        _code(f"answer-{name}", ANSWER.format(number=number), nbgrader(f"answer-{name}")),
        _code(f"check-{name}", f'check("{number}")', nbgrader(f"check-{name}", exercise.points)),
    ]


def nbgrader(grade_id: str, points: int = 0) -> dict[str, Any]:
    """nbgrader's metadata: for a check if it has points, otherwise for an answer."""
    is_check = points > 0
    found: dict[str, Any] = {
        "grade": is_check,
        "grade_id": grade_id,
        "locked": is_check,
        "schema_version": 3,
        "solution": not is_check,
        "task": False,
    }
    return {"nbgrader": found | ({"points": points} if is_check else {})}


def _markdown(name: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def _code(name: str, source: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": metadata or {},
        "outputs": [],
        "source": source,
    }
