"""`labkit doctor`: the features of this machine, and how to get missing ones."""

import sys

from labkit import doctor
from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.base.terminal import has_colours, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS]", (Flag("json", "", "bool", "Print JSON, for programs"),), at_most=0)
STDOUT = 1


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table; return 0 if containers can run here, and 1 if not."""
    findings = doctor.run(context.paths)
    if options["json"]:
        print(doctor.to_json(findings))
    else:
        colour = has_colours(STDOUT)
        sys.stdout.write(doctor.render(findings, width(STDOUT), colour=colour))
    return doctor.exit_status(findings)
