"""`labkit doctor`: what this machine offers, and how to get what is missing."""

from labkit import doctor
from labkit.cli.command import Command, Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("", at_most=0)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """A table."""
    print(doctor.render(doctor.run(context.paths)))
    return 0
