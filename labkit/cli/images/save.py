"""`labkit save`: images as one archive, for `labkit load`, `docker load` and others."""

from labkit.cli.archives.output import OUTPUT, check, write_archive
from labkit.cli.base.command import Command, Context
from labkit.cli.values.platform import PLATFORM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS] IMAGE [IMAGE...]", (OUTPUT, PLATFORM), at_least=1)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Write the archive to stdout, unless that is a terminal, or to a file, whole or not at all."""
    check(options["output"])
    query = {"names": arguments, "platform": options["platform"] or None}
    response = context.api().stream("GET", "/images/get", **query)
    write_archive(response, options["output"])
    return 0
