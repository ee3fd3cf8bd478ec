"""`labkit restart`: stop containers, and start them again."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.containers.stop import FLAGS
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, at_least=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each restarted container."""
    api = context.api()
    query = {"t": options["timeout"], "signal": options["signal"] or None}
    return for_each(arguments, lambda name: api.post(f"{container_path(name)}/restart", **query))
