"""`labkit rm`: remove containers."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.flags import Flag
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("force", "f", "bool", "Kill running ones first"),
        Flag("volumes", "v", "bool", "Remove their anonymous volumes as well"),
    ),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each removed container."""
    api, force = context.api(), options["force"]

    def remove(name: str) -> None:
        api.delete(container_path(name), force=force, v=options["volumes"])

    return for_each(arguments, remove, forgive_missing=force)
