"""Hints: computed from the findings, in three levels by the number of tries; never a command."""

from collections.abc import Sequence

from labkit.course.exercises.finding import Finding

LEVELS = 3


def hint(findings: Sequence[Finding], tries: int) -> str:
    """The hint after so many tries, about the first thing that is not met; "" if all is met.

    First what differs, then also the idea and where it is taught, then also the file or the flag.
    """
    for finding in findings:
        if not finding.is_met:
            return " ".join(lines(finding)[: max(1, tries)])
    return ""


def lines(finding: Finding) -> list[str]:
    """The three levels for one finding."""
    lesson = finding.lesson
    return [
        f"{finding.difference}.",
        f"{lesson.idea} (See {lesson.section}.)",
        f"Look at {lesson.tool}.",
    ]
