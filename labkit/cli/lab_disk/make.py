"""`labkit lab-disk make`: a disk of the lab's own, to try limits on."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import say
from labkit.cli.base.flags import Flag
from labkit.cli.lab_disk.show import show
from labkit.labdisk import DEFAULT_BYTES, make

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("size", "s", "bytes", "How big (default 512m)", initial=DEFAULT_BYTES),
        Flag("device", "d", "string", "A spare disk that holds nothing", word="/dev/sdb"),
    ),
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Make it unless it is there, and show it; a word of warning if it knows no weights."""
    disk = make(context.paths, options["size"], options["device"])
    show(disk)
    if not disk.has_weights:
        say("this kernel has no BFQ scheduler: --blkio-weight has no effect on the lab disk")
    return 0
