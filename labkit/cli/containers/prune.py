"""`labkit container prune`: remove all stopped containers."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.prune import FILTER, FORCE, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS]", (FILTER, FORCE), at_most=0)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the ids of the removed containers, and the space they took."""
    return prune(
        context,
        options,
        "/containers/prune",
        warning="This will remove all stopped containers.",
        deleted="ContainersDeleted",
    )
