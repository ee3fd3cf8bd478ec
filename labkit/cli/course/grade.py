"""`labkit grade PATH…`: grade notebooks, each in a throw-away engine."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.course.check import EXERCISES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] PATH [PATH...]",
    (
        EXERCISES,
        Flag("output", "o", "string", "Folder for the results (default graded)", initial="graded"),
        Flag("jobs", "j", "int", "Submissions at once (default 2)", initial=2),
        Flag("cell-timeout", "", "int", "Seconds for a cell (default 60)", initial=60),
        Flag("timeout", "", "int", "Seconds for a submission (default 900)", initial=900),
        Flag("scheduler", "", "string", "Grade on a Dask cluster: tcp://HOST:PORT", word="ADDRESS"),
        Flag("again", "", "bool", "Also grade submissions that have a result"),
    ),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Grade them; 0, or 1 if the machine could not judge all of it."""
    from labkit.course.grading import classroom, report  # noqa: PLC0415 only this verb needs it
    from labkit.course.grading.limits import Limits  # noqa: PLC0415

    limits = Limits(cell_s=options["cell_timeout"], wall_s=options["timeout"])
    asked = classroom.Options(
        output=options["output"],
        exercises=options["exercises"],
        jobs=options["jobs"],
        limits=limits,
        again=options["again"],
        scheduler=options["scheduler"],
    )
    results = classroom.grade(classroom.find(arguments, _say), asked, _say)
    print(f"{asked.output}/{report.CSV}")
    return 1 if any(result.has_fault for result in results) else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
