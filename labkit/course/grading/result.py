"""The result of a submission: the points of each exercise, and the reasons."""

import time
from typing import Any, NamedTuple

from labkit.course.exercises.finding import Finding, Lesson

NOT_REACHED = "its cells are not in the notebook, or were not reached"


class Mark(NamedTuple):
    """One exercise of one submission."""

    number: str
    title: str
    of: int
    """The points of the exercise."""
    findings: tuple[Finding, ...] = ()
    fault: str = ""
    """Why the machine could not judge: the submission must be graded again."""
    note: str = ""
    """What else the learner should know: a cell that took too long."""

    @property
    def points(self) -> int:
        """The points that are earned."""
        return sum(finding.earned for finding in self.findings)


class Result(NamedTuple):
    """One submission."""

    student: str
    assignment: str
    marks: tuple[Mark, ...]
    token: str = ""
    digest: str = ""
    """Of the notebook: the same notebook is not graded again."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """Notes on the whole submission: the things it left, or why it ended early."""
    timestamp: str = ""

    @property
    def score(self) -> int:
        """The points together."""
        return sum(mark.points for mark in self.marks)

    @property
    def max_score(self) -> int:
        """The points that could be earned."""
        return sum(mark.of for mark in self.marks)

    @property
    def has_fault(self) -> bool:
        """Whether the machine failed to judge a part of it."""
        return any(mark.fault for mark in self.marks)


def to_json(result: Result) -> dict[str, Any]:
    """The result as JSON."""
    marks = [
        mark._asdict()
        | {"points": mark.points, "findings": [finding_json(each) for each in mark.findings]}
        for mark in result.marks
    ]
    sums = {"score": result.score, "max_score": result.max_score}
    return result._asdict() | {"marks": marks, "notes": list(result.notes)} | sums


def from_json(kept: dict[str, Any]) -> Result:
    """The result that `to_json` has written; KeyError or TypeError if it is damaged."""
    marks = tuple(
        Mark(
            each["number"],
            each["title"],
            each["of"],
            tuple(map(finding_of, each["findings"])),
            each["fault"],
            each["note"],
        )
        for each in kept["marks"]
    )
    fields = {name: kept[name] for name in Result._fields}
    return Result(**fields | {"marks": marks, "notes": tuple(kept["notes"])})


def now() -> str:
    """The time as nbgrader writes it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())


def finding_of(kept: dict[str, Any]) -> Finding:
    """The finding that `finding_json` has written."""
    return Finding(**kept | {"lesson": Lesson(**kept["lesson"])})


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    return finding._asdict() | {"lesson": finding.lesson._asdict()}
