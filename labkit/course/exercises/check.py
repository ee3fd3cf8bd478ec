"""Judging one exercise for the learner, in the lab itself: the scene, the findings, the hint."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from labkit import labdisk
from labkit.client import Client
from labkit.course.exercises import exercise as exercises
from labkit.course.exercises import record
from labkit.course.exercises.exercise import Exercise, Memo
from labkit.course.exercises.finding import (
    Finding,
    Findings,
    Lesson,
    MachineFaultError,
    TooLargeError,
)
from labkit.course.exercises.hints import hint
from labkit.course.exercises.place import Place
from labkit.course.exercises.tidying import tidy
from labkit.course.page.lab import connect
from labkit.errors import DaemonUnavailableError, LabkitError
from labkit.paths import Paths

GRADED_VARIABLE = "LABKIT_GRADED"
"""Set while a notebook is graded: then the scene and the judge are outside of the notebook."""
DISK_VARIABLE = "LABKIT_DISK"
"""The environment variable that names the device for disk limits."""


_SIZE = Lesson(
    "A judge reads your files and images, and stops at a size that no exercise needs.",
    "the statement of the exercise",
    "the sizes of your files and images",
)


class Outcome(NamedTuple):
    """The outcome of a check."""

    exercise: Exercise
    findings: tuple[Finding, ...]
    tries: int
    fault: str = ""
    """Why the machine could not judge; "" if it could."""

    @property
    def points(self) -> int:
        """The points of the findings that are met."""
        return sum(finding.earned for finding in self.findings)

    @property
    def passed(self) -> bool:
        """Whether every finding is met."""
        return not self.fault and all(finding.is_met for finding in self.findings)

    @property
    def hint(self) -> str:
        """The hint for this try."""
        return hint(self.findings, self.tries)


def local_place(client: Client | None = None) -> Place:
    """The lab of this process."""
    return Place(client or connect(), folder=os.getcwd(), disk=_disk())


def lay(exercise: Exercise, place: Place, token: str) -> Memo:
    """Remove an earlier try's objects, lay an exercise's scene, and return its notes."""
    values = exercise.values(token)
    tidy(exercise, place, values)
    return exercise.scene(place, values)


def outcome(number: str, folder: str = "") -> Outcome:
    """Judge an exercise in this process's lab, and count the try."""
    exercise = exercises.find(number, folder)
    number = exercise.number
    memo = record.memo(number)
    try:
        findings = judge(exercise, local_place(), record.token(), memo)
    except (MachineFaultError, DaemonUnavailableError) as error:
        return Outcome(exercise, (), 0, str(error))
    earned = sum(finding.earned for finding in findings)
    return Outcome(exercise, tuple(findings), record.count_try(number, earned))


def judge(exercise: Exercise, place: Place, token: str, memo: Memo) -> Sequence[Finding]:
    """The findings; the judge looks once more if an object vanishes while it looks."""
    values = exercise.values(token)
    try:
        return exercise.judge(place, values, memo)
    except (TooLargeError, MemoryError) as error:
        return _not_looked_at(exercise, error)
    except (DaemonUnavailableError, MachineFaultError):
        raise
    except (LabkitError, OSError):
        time.sleep(0.3)
    try:
        return exercise.judge(place, values, memo)
    except DaemonUnavailableError:
        raise
    except (LabkitError, OSError) as error:
        raise MachineFaultError(f"{type(error).__name__}: {error}") from error


def _not_looked_at(exercise: Exercise, error: Exception) -> Sequence[Finding]:
    """A finding without points, and no fault of the machine: the learner can make it smaller."""
    found = Findings()
    text = str(error) or "too large for the judge's memory"
    found.add("your files and images", "small", text, exercise.points, _SIZE, met=False)
    return found.all


def _disk() -> str:
    if given := os.environ.get(DISK_VARIABLE, ""):
        return given
    with suppress(LabkitError, OSError):
        found = labdisk.find(Paths.from_environment())
        return found.device if found else ""
    return ""
