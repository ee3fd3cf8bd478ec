"""`labkit stop`: ask containers to end, and kill those that do not."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.flags import Flag
from labkit.client.api import container_path
from labkit.errors import NotModifiedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLAGS = (
    Flag("signal", "s", "string", "Signal to ask with (default: the image's, or SIGTERM)"),
    Flag("timeout", "t", "int", "Seconds to wait before killing (default 10)", initial=None),
)
COMMAND = Command("[OPTIONS] CONTAINER [CONTAINER...]", FLAGS, at_least=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each stopped container."""
    api = context.api()

    def stop(name: str) -> None:
        try:
            api.post(
                f"{container_path(name)}/stop",
                t=options["timeout"],
                signal=options["signal"] or None,
            )
        except NotModifiedError:
            return  # it did not run: nothing to do

    return for_each(arguments, stop)
