"""`labkit export`: a container's whole file system as a tar archive."""

from labkit.cli.archives.output import OUTPUT, check, write_archive
from labkit.cli.base.command import Command, Context
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS] CONTAINER", (OUTPUT,), at_least=1, at_most=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Write the archive to stdout, unless that is a terminal, or to a file, whole or not at all."""
    check(options["output"])
    response = context.api().stream("GET", f"{container_path(arguments[0])}/export")
    write_archive(response, options["output"])
    return 0
