"""`labkit states`: a container's life as the table that the engine obeys."""

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
"""There is no container: before `create`, and after the last."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """A line for every arrow; `{{.Meaning}}` says in words what it is."""
    arrows = context.api().get("/labkit/states")
    rows = [Row({name: arrow[name] or NONE for name in HEADINGS}) for arrow in arrows]
    sys.stdout.write(render(options["format"], HEADINGS, COLUMNS, rows))
    return 0
