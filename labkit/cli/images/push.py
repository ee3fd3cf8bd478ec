"""`labkit push`: copy an image to a registry."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.show import transfers
from labkit.client.transfers import push_events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NAME[:TAG]",
    (
        Flag("all-tags", "a", "bool", "Push all local tags of the repository"),
        Flag("quiet", "q", "bool", "Show no progress"),
    ),
    at_least=1,
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Show the progress; with `--quiet` only the image's whole name."""
    (name,) = arguments
    all_tags, quiet = options["all_tags"], options["quiet"]
    transfers.begin(name, all_tags=all_tags, quiet=quiet)
    events = push_events(context.api(), name, all_tags=all_tags)
    (transfers.drain if quiet else transfers.show)(events)
    if quiet:
        sys.stdout.write(f"{transfers.whole_name(name, all_tags=all_tags)}\n")
    return 0
