"""`labkit exercises new NAME`: a skeleton for your own exercises."""

from labkit.cli.base.command import Command, Context
from labkit.cli.course.check import EXERCISES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS] NAME", (EXERCISES,), at_least=1, at_most=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Write a module and a notebook, and print the paths."""
    from labkit.course.handout import release  # noqa: PLC0415 only this verb needs it

    for path in release.new(arguments[0], options["exercises"] or "."):
        print(path)
    return 0
