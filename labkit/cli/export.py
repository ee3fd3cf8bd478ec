"""`labkit export`: a container's whole file system as a tar archive."""

import os
import sys

from labkit.cli.command import Command, Context
from labkit.cli.flags import Flag
from labkit.cli.output import write
from labkit.client.api import container_path
from labkit.client.frames import STDOUT
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    (Flag("output", "o", "string", "Write to this file instead of stdout", word="path"),),
    at_least=1,
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """The archive on stdout, which must not be a terminal, or in a file that is whole or absent."""
    path = options["output"]
    if not path and sys.stdout.isatty():
        raise InvalidParameterError(
            "an archive is not for terminals: use -o FILE, or redirect stdout"
        )
    response = context.api().stream("GET", f"{container_path(arguments[0])}/export")
    if not path:
        for piece in response:
            write(STDOUT, piece)
        return 0
    unfinished = f"{path}.{os.getpid()}.part"
    try:
        with open(unfinished, "xb") as file:
            for piece in response:
                file.write(piece)
        os.replace(unfinished, path)
    except OSError as error:
        raise InvalidParameterError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
    return 0
