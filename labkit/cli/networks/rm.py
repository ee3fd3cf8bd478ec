"""`labkit network rm`: remove networks."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.flags import Flag
from labkit.client.api import network_path
from labkit.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NETWORK [NETWORK...]",
    (Flag("force", "f", "bool", "No error for missing ones"),),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each removed network."""
    api = context.api()

    def remove(name: str) -> None:
        try:
            api.delete(network_path(name))
        except NotFoundError:
            if not options["force"]:
                raise

    return for_each(arguments, remove)
