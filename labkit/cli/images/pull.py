"""`labkit pull`: get an image from a registry."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.show import transfers
from labkit.client.transfers import pull_events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    (
        Flag("all-tags", "a", "bool", "Pull all tags of the repository"),
        Flag("platform", "", "string", "Pull the image for another machine, such as linux/arm64"),
        Flag("quiet", "q", "bool", "Show no progress"),
    ),
    at_least=1,
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Show the progress, and at the end the image's whole name."""
    (name,) = arguments
    all_tags, quiet = options["all_tags"], options["quiet"]
    transfers.begin(name, all_tags=all_tags, quiet=quiet)
    events = pull_events(context.api(), name, all_tags=all_tags, platform=options["platform"])
    (transfers.drain if quiet else transfers.show)(events)
    sys.stdout.write(f"{transfers.whole_name(name, all_tags=all_tags)}\n")
    return 0
