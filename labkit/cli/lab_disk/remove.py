"""`labkit lab-disk remove`: the lab disk and all it took, gone."""

from labkit.cli.base.command import Command, Context
from labkit.labdisk import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("", at_most=0)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Remove it, also what an interrupted one has left; nothing to remove is no failure."""
    print("removed the lab disk" if remove(context.paths) else "there is no lab disk")
    return 0
