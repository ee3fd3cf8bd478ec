"""`labkit load`: load the images of an archive that `save` has made."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.images.import_ import Progress
from labkit.cli.values.platform import PLATFORM
from labkit.client.images import load_events, pieces_of
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("input", "i", "string", "Read this file instead of stdin", word="path"),
        PLATFORM,
        Flag("quiet", "q", "bool", "Show no progress"),
    ),
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each loaded image; progress goes to stderr, if that is a terminal."""
    with _open(options["input"]) as file, Progress(file, quiet=options["quiet"]) as progress:
        pieces = progress.watch(pieces_of(file))
        for event in load_events(context.api(), pieces, options["platform"]):
            progress.clear()
            sys.stdout.write(event.get("stream", ""))
            sys.stdout.flush()
    return 0


def _open(path: str) -> "BinaryIO":
    if not path:
        if sys.stdin.isatty():
            raise InvalidParameterError(
                "requested load from stdin, but stdin is empty: labkit load -i ARCHIVE"
            )
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise InvalidParameterError(f"cannot read {path}: {error.strerror}") from error
