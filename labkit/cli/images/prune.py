"""`labkit image prune`: remove unused images."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.base.prune import FILTER, FORCE, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (Flag("all", "a", "bool", "Also those with a name, if no container uses them"), FILTER, FORCE),
    at_most=0,
)
WARNINGS = {
    False: "This will remove all dangling images.",
    True: "This will remove all images without at least one container associated to them.",
}


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the removed names and layers, and the space they took."""
    if options["all"]:
        options["filter"].append("dangling=false")
    return prune(
        context,
        options,
        "/images/prune",
        warning=WARNINGS[options["all"]],
        deleted="ImagesDeleted",
    )
