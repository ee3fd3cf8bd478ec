"""`labkit volume rm`: remove volumes and their files."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.flags import Flag
from labkit.client.api import volume_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] VOLUME [VOLUME...]",
    (Flag("force", "f", "bool", "No error for missing ones"),),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each removed volume."""
    api = context.api()
    return for_each(arguments, lambda name: api.delete(volume_path(name), force=options["force"]))
