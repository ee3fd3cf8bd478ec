"""`labkit exercises release FOLDER`: the learners' version of the exercises."""

from labkit.cli.base.command import Command, Context
from labkit.cli.course.check import EXERCISES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS] FOLDER", (EXERCISES,), at_least=1, at_most=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Write them without solutions, hidden tests and outputs, and print the paths."""
    from labkit.course.handout import release, work_folder  # noqa: PLC0415 only this verb

    source = options["exercises"] or f"{work_folder.source()}/exercises"
    for path in release.release(arguments[0], source):
        print(path)
    return 0
