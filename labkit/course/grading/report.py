"""The whole class as one CSV, in nbgrader's columns, and as JSON."""

import csv
import json
import os
from collections.abc import Sequence

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


def write(folder: str, results: Sequence[Result]) -> None:
    """Write `grades.csv` and `grades.json`, in place of older ones."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{CSV}.new", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(row, results))
    os.replace(f"{folder}/{CSV}.new", f"{folder}/{CSV}")
    with open(f"{folder}/{JSON}.new", "w", encoding="utf-8") as file:
        json.dump([to_json(result) for result in results], file, ensure_ascii=False, indent=1)
    os.replace(f"{folder}/{JSON}.new", f"{folder}/{JSON}")


def row(result: Result) -> list[object]:
    """A submission's row."""
    score = float(result.score)
    return [
        result.assignment,
        "",
        result.timestamp,
        _plain(result.student),
        "",
        "",
        "",
        score,
        0.0,
        score,
        float(result.max_score),
    ]


def _plain(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def lost(fault: str) -> tuple[Mark, ...]:
    """The marks of a submission that the machine could not grade at all."""
    return (Mark("", "the whole submission", 0, fault=fault),)
