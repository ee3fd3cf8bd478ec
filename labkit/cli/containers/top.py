"""`labkit top`: the processes of a container, as the host's ps sees them."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.show.table import table
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("CONTAINER [ps OPTIONS]", at_least=1, interspersed=False)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table with the columns of ps(1)."""
    container, *ps_options = arguments
    found = context.api().get(
        f"{container_path(container)}/top", ps_args=" ".join(ps_options) or None
    )
    sys.stdout.write(table(found["Titles"], found["Processes"] or []))
    return 0
