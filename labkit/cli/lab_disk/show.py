"""`labkit lab-disk show`: the lab disk, if there is one."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.dialect.sizes import human_size
from labkit.errors import NotFoundError
from labkit.labdisk import LabDisk, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS]", (FORMAT,), at_most=0)
HEADINGS = {
    "Device": "DEVICE",
    "Size": "SIZE",
    "Scheduler": "SCHEDULER",
    "Mountpoint": "MOUNTPOINT",
    "Free": "FREE",
}


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print one line; NotFoundError if there is none."""
    disk = find(context.paths)
    if disk is None:
        raise NotFoundError("there is no lab disk; make one with: labkit lab-disk make")
    show(disk, options["format"])
    return 0


def show(disk: LabDisk, form: str = "") -> None:
    """Print it as a table, or by the template."""
    row = Row(
        {
            "Device": disk.device,
            "Size": human_size(disk.size_bytes),
            "Scheduler": disk.scheduler,
            "Mountpoint": disk.mount,
            "Free": human_size(disk.free_bytes),
        }
    )
    sys.stdout.write(render(form, HEADINGS, tuple(HEADINGS), [row]))
