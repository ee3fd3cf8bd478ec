"""`labkit volume prune`: remove unused volumes."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.base.prune import FILTER, FORCE, prune

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (Flag("all", "a", "bool", "Also volumes with a name"), FILTER, FORCE),
    at_most=0,
)
KINDS = {False: "anonymous local", True: "local"}


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the names of the removed volumes, and the space they took."""
    if options["all"]:
        options["filter"].append("all=1")
    kind = KINDS[options["all"]]
    return prune(
        context,
        options,
        "/volumes/prune",
        warning=f"This will remove {kind} volumes not used by at least one container.",
        deleted="VolumesDeleted",
    )
