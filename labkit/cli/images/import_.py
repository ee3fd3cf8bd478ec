"""`labkit import`: make an image from the archive of a file system."""

import os
import stat
import sys
import time
from functools import partial

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.images import import_events, pieces_of, split_tag
from labkit.dialect.sizes import human_size
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

COMMAND = Command(
    "[OPTIONS] FILE|URL|- [REPOSITORY[:TAG]]",
    (
        Flag("change", "c", "list", "Set a property of the image by a Dockerfile instruction"),
        Flag("message", "m", "string", "Note in the image's history"),
    ),
    at_least=1,
    at_most=2,
)
REDRAW_S = 0.1
URL = ("http://", "https://")


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the id of the new image; progress goes to stderr, if that is a terminal."""
    source, reference = arguments[0], arguments[1] if len(arguments) > 1 else ""
    repository, tag = split_tag(reference)
    send = partial(
        import_events,
        context.api(),
        repository=repository,
        tag=tag,
        changes=options["change"],
        message=options["message"],
    )
    if source.startswith(URL):
        print(_last_status(send((), source=source)))
        return 0
    with _open(source) as file, Progress(file) as progress:
        image_id = _last_status(send(progress.watch(pieces_of(file))))
    print(image_id)
    return 0


def _last_status(events: "Iterator[dict[str, Any]]") -> str:
    """Return the new image's id."""
    status = ""
    for event in events:
        status = event.get("status", status)
    return status


def _open(source: str) -> "BinaryIO":
    if source == "-":
        if sys.stdin.isatty():
            raise InvalidParameterError(
                "import - reads an archive from a pipe: tar -C FOLDER -c . | labkit import - NAME"
            )
        return sys.stdin.buffer
    try:
        return open(source, "rb")
    except OSError as error:
        raise InvalidParameterError(f"cannot read {source}: {error.strerror}") from error


class Progress:
    """One line on stderr with the progress of the transfer; none without a terminal."""

    def __init__(self, file: "BinaryIO", *, quiet: bool = False) -> None:
        self._shown = sys.stderr.isatty() and not quiet
        status = os.fstat(file.fileno())
        self._total = f" of {human_size(status.st_size)}" if stat.S_ISREG(status.st_mode) else ""
        self._drawn_at = 0.0

    def watch(self, pieces: "Iterator[bytes]") -> "Iterator[bytes]":
        """Yield the pieces, and count them."""
        sent = 0
        for piece in pieces:
            yield piece
            sent += len(piece)
            if time.monotonic() - self._drawn_at > REDRAW_S:
                self._draw(f"Sending the archive: {human_size(sent)}{self._total}")
        self._draw(f"Sent {human_size(sent)}; unpacking")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Remove the line."""
        self._draw("")

    def _draw(self, text: str) -> None:
        if self._shown:
            self._drawn_at = time.monotonic()
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
