"""`labkit unpause`: let paused containers continue."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("CONTAINER [CONTAINER...]", at_least=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each thawed container."""
    api = context.api()
    return for_each(arguments, lambda name: api.post(f"{container_path(name)}/unpause"))
