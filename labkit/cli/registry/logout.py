"""`labkit logout`: forget the credentials for a registry."""

from labkit.cli.base.command import Command, Context
from labkit.client.credentials import CredentialFile
from labkit.dialect.references import server_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[SERVER]", at_most=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print what was forgotten; return 0 also if there was nothing, as in Docker."""
    server = server_of(arguments[0] if arguments else "")
    if CredentialFile().erase(server):
        print(f"Removing login credentials for {server}")
    else:
        print(f"Not logged in to {server}")
    return 0
