"""`labkit network prune`: remove unused networks."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.prune import FILTER, FORCE, agreed, say_deleted
from labkit.client.api import filters_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS]", (FILTER, FORCE), at_most=0)
WARNING = "This will remove all custom networks not used by at least one container."


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the names of the removed networks."""
    if not options["force"] and not agreed(WARNING):
        return 0
    filters = filters_json(filters_from(options["filter"]))
    deleted = context.api().post("/networks/prune", filters=filters)["NetworksDeleted"]
    say_deleted("NetworksDeleted", deleted or [])
    return 0
