"""`labkit exercises submit NAME [FOLDER]`: hand in a notebook of exercises."""

import os

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NAME [FOLDER]",
    (
        Flag("from", "", "string", "Folder of the notebook (default: here)", word="FOLDER"),
        Flag("student", "s", "string", "Your name in the class (default: your user's name)"),
    ),
    at_least=1,
    at_most=2,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Copy it to FOLDER/<student>/<name>/, `submitted` by default, and print its path."""
    from labkit.course.handout import person, release  # noqa: PLC0415 only this verb needs it

    name, *rest = arguments
    place = options["from"] or os.getcwd()
    student = options["student"] or person.name()
    print(release.submit(release.find(name, place), rest[0] if rest else "submitted", student))
    return 0
