"""`labkit kill`: send containers a signal."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.flags import Flag
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (Flag("signal", "s", "string", "Signal to send (default SIGKILL)"),),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each container that got it."""
    api = context.api()
    signal = options["signal"] or None
    return for_each(arguments, lambda name: api.post(f"{container_path(name)}/kill", signal=signal))
