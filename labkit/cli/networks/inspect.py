"""`labkit network inspect`: all that the engine knows about networks."""

from labkit.cli.base.command import Command, Context
from labkit.cli.engine.inspect import FORMAT, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS] NETWORK [NETWORK...]", (FORMAT,), at_least=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a JSON array; with `--format` a line for each."""
    return show(context.api(), arguments, ["network"], options["format"])
