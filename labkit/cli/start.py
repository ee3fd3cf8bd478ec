"""`labkit start`: start created or stopped containers."""

from labkit.cli.command import Command, Context, for_each
from labkit.client.api import container_path
from labkit.errors import NotModifiedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("CONTAINER [CONTAINER...]", at_least=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each that runs."""
    api = context.api()

    def start(name: str) -> None:
        try:
            api.post(f"{container_path(name)}/start")
        except NotModifiedError:
            return  # it runs already

    return for_each(arguments, start)
