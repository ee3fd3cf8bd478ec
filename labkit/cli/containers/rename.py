"""`labkit rename`: give a container another name."""

from labkit.cli.base.command import Command, Context
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("CONTAINER NEW_NAME", at_least=2, at_most=2)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print nothing."""
    container, name = arguments
    context.api().post(f"{container_path(container)}/rename", name=name)
    return 0
