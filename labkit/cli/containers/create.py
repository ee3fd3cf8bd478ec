"""`labkit create`: make a container that `labkit start` can start."""

from labkit.cli.attached import streams
from labkit.cli.base.command import Command, Context
from labkit.cli.values import container_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    (*container_flags.FLAGS, streams.ATTACH),
    at_least=1,
    interspersed=False,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the new container's id."""
    body = container_flags.request_body(options, arguments, streams.chosen(options))
    print(container_flags.create(context.api(), body, options))
    return 0
