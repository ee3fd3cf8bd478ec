"""`labkit logs`: the output of a container."""

import time

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.base.output import write
from labkit.client.api import container_path
from labkit.dialect.frames import STDOUT, demultiplex
from labkit.dialect.moments import parse_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    (
        Flag("details", "", "bool", "Show the extra attributes that the log's options ask for"),
        Flag("follow", "f", "bool", "Continue with new output until it ends"),
        Flag("since", "", "string", "Only output after a time (or 10m: ten minutes ago)"),
        Flag("tail", "n", "string", "Only the last so many lines", initial="all", word="number"),
        Flag("timestamps", "t", "bool", "Show when each line was printed"),
        Flag("until", "", "string", "Only output before a time"),
    ),
    at_least=1,
    at_most=1,
)
RAW = "application/vnd.docker.raw-stream"
"""The media type of a container with a terminal, which has one stream only."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Copy its stdout to stdout, and its stderr to stderr."""
    response = context.api().stream(
        "GET",
        f"{container_path(arguments[0])}/logs",
        stdout=True,
        stderr=True,
        details=options["details"],
        follow=options["follow"],
        tail=options["tail"],
        timestamps=options["timestamps"],
        since=_unix_time(options["since"]),
        until=_unix_time(options["until"]),
    )
    if response.headers.get("content-type") == RAW:
        for piece in response:
            write(STDOUT, piece)
    else:
        for stream, payload in demultiplex(response):
            write(stream, payload)
    return 0


def _unix_time(text: str) -> str | None:
    return f"{parse_s(text, time.time()):.9f}" if text else None
