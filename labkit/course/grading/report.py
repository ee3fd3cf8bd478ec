"""The whole class as one CSV, in nbgrader's columns, and as JSON."""

import csv
import json
import os
from collections.abc import Sequence
from typing import Any

from labkit.course.grading.result import Mark, Result, to_json

COLUMNS = (
    "assignment",
    "duedate",
    "timestamp",
    "student_id",
    "last_name",
    "first_name",
    "email",
    "raw_score",
    "late_submission_penalty",
    "score",
    "max_score",
)
"""`nbgrader export` writes these (nbgrader.plugins.export)."""
CSV, JSON = "grades.csv", "grades.json"
FILES = tuple(f"{name}{end}" for name in (CSV, JSON) for end in ("", ".new"))
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}
"""Names of folders may have bytes that are no text."""


def write(folder: str, results: Sequence[Result]) -> None:
    """Write `grades.csv` and `grades.json`, in place of older ones."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{CSV}.new", "w", newline="", **_TEXT) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(row, results))
    os.replace(f"{folder}/{CSV}.new", f"{folder}/{CSV}")
    with open(f"{folder}/{JSON}.new", "w", **_TEXT) as file:
        json.dump([to_json(result) for result in results], file, ensure_ascii=False, indent=1)
    os.replace(f"{folder}/{JSON}.new", f"{folder}/{JSON}")


def row(result: Result) -> list[object]:
    """A submission's row; without a score where the machine could not judge all of it."""
    score = "" if result.has_fault else float(result.score)
    names = ["", "", ""]
    student, assignment = plain(result.student), plain(result.assignment)
    points = [score, 0.0, score, float(result.max_score)]
    return [assignment, "", result.timestamp, student, *names, *points]


def plain(text: str) -> str:
    """Text of one line that no spreadsheet takes for a formula, and no terminal for a command."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
    return f"'{shown}" if shown.lstrip()[:1] in ("=", "+", "-", "@", "|", "%") else shown


def lost(fault: str) -> tuple[Mark, ...]:
    """The marks of a submission that the machine could not grade at all."""
    return (Mark("", "the whole submission", 0, fault=fault),)
