"""`labkit diff`: the files that a container has changed."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.plain import shown
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("CONTAINER", at_least=1, at_most=1)
KINDS = "CAD"
"""Changed, added, deleted: the numbers 0, 1 and 2 of the API."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a line for each path, with its letter."""
    changes = context.api().get(f"{container_path(arguments[0])}/changes") or []
    sys.stdout.writelines(
        shown(f"{KINDS[change['Kind']]} {change['Path']}\n") for change in changes
    )
    return 0
