"""`labkit states`: a container's life, as the table that the engine uses."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.show.formats import FORMAT, Row, render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("[OPTIONS]", (FORMAT,), at_most=0)
HEADINGS = {"Before": "IN STATE", "Event": "EVENT", "After": "LEADS TO", "Meaning": "MEANING"}
COLUMNS = ("Before", "Event", "After")
NONE = "-"
"""The state without a container: before `create`, and after the end."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a line for every transition; `{{.Meaning}}` explains it."""
    arrows = context.api().get("/labkit/states")
    rows = [Row({name: arrow[name] or NONE for name in HEADINGS}) for arrow in arrows]
    sys.stdout.write(render(options["format"], HEADINGS, COLUMNS, rows))
    return 0
