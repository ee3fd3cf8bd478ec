"""`labkit lab-disk remove`: remove the lab disk and all its parts."""

from labkit.cli.base.command import Command, Context
from labkit.labdisk import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("", at_most=0)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Remove it, also after an interrupted removal; a missing disk is no failure."""
    print("removed the lab disk" if remove(context.paths) else "there is no lab disk")
    return 0
