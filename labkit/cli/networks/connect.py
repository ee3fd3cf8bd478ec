"""`labkit network connect`: connect a container to a network."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.values.networks import endpoint
from labkit.client.api import network_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NETWORK CONTAINER",
    (
        Flag("alias", "", "list", "Another name for the container on the network", word="name"),
        Flag("ip", "", "string", "IPv4 address on the network", word="address"),
        Flag("ip6", "", "string", "IPv6 address on the network", word="address"),
        Flag("link", "", "list", "Give another container a name in this one (container:alias)"),
    ),
    at_least=2,
    at_most=2,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Connect it, running or not; print nothing."""
    network, container = arguments
    wanted = endpoint(
        aliases=options["alias"], ip=options["ip"], ip6=options["ip6"], links=options["link"]
    )
    body = {"Container": container, "EndpointConfig": wanted}
    context.api().post(f"{network_path(network)}/connect", body)
    return 0
