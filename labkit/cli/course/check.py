"""`labkit exercises check NUMBER`: the same check as in a notebook."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXERCISES = Flag("exercises", "", "string", "A folder with your own exercises", word="FOLDER")

COMMAND = Command("[OPTIONS] NUMBER", (EXERCISES,), at_least=1, at_most=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the card; 0 if all is met, else 1."""
    from labkit.course.exercises.card import card  # noqa: PLC0415 only this verb needs it
    from labkit.course.exercises.check import outcome  # noqa: PLC0415

    found = outcome(arguments[0], options["exercises"])
    print(card(found))
    return 0 if found.passed else 1
