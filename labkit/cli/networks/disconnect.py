"""`labkit network disconnect`: disconnect a container from a network."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.api import network_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NETWORK CONTAINER",
    (Flag("force", "f", "bool", "No error if it is not connected"),),
    at_least=2,
    at_most=2,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Disconnect it, running or not; print nothing."""
    network, container = arguments
    body = {"Container": container, "Force": options["force"]}
    context.api().post(f"{network_path(network)}/disconnect", body)
    return 0
