"""`labkit port`: the published ports of a container."""

from labkit.cli.base.command import Command, Context
from labkit.client.api import container_path
from labkit.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("CONTAINER [PRIVATE_PORT[/PROTO]]", at_least=1, at_most=2)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a line for each, `80/tcp -> 0.0.0.0:8080`; for a named port, the address alone."""
    name, *wanted = arguments
    container = context.api().get(f"{container_path(name)}/json")
    ports = container["NetworkSettings"].get("Ports") or {}
    if wanted:
        port = wanted[0] if "/" in wanted[0] else f"{wanted[0]}/tcp"
        if not ports.get(port):
            raise NotFoundError(f"no public port '{wanted[0]}' published for {name}")
        ports = {port: ports[port]}
    for port, bindings in ports.items():
        for binding in bindings or []:
            address = f"{binding['HostIp']}:{binding['HostPort']}"
            print(address if wanted else f"{port} -> {address}")
    return 0
