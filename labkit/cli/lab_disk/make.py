"""`labkit lab-disk make`: a disk to try limits on."""

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
        Flag("size", "s", "bytes", "Size (default 512m)", initial=DEFAULT_BYTES),
        Flag("device", "d", "string", "A spare, empty disk", word="/dev/sdb"),
    ),
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Make it unless it exists, and show it; warn if its scheduler has no weights."""
    disk = make(context.paths, options["size"], options["device"])
    show(disk)
    if not disk.has_weights:
        say("this kernel has no BFQ scheduler: --blkio-weight has no effect on the lab disk")
    return 0
