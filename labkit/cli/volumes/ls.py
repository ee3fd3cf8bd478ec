"""`labkit volume ls`: list volumes."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.client.api import filters_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("filter", "f", "list", "Show those that match (dangling=true, name=data, …)"),
        FORMAT,
        Flag("quiet", "q", "bool", "Show only names"),
    ),
    at_most=0,
)
HEADINGS = {
    "Driver": "DRIVER",
    "Name": "VOLUME NAME",
    "Mountpoint": "MOUNTPOINT",
    "Scope": "SCOPE",
    "Labels": "LABELS",
}
COLUMNS = ("Driver", "Name")


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table, or one name a line."""
    filters = filters_json(filters_from(options["filter"]))
    volumes = context.api().get("/volumes", filters=filters)["Volumes"] or []
    volumes.sort(key=lambda volume: volume["Name"])
    form = "{{.Name}}" if options["quiet"] else options["format"]
    sys.stdout.write(render(form, HEADINGS, COLUMNS, map(_row, volumes)))
    return 0


def _row(volume: "dict[str, Any]") -> Row:
    labels = volume.get("Labels") or {}
    fields = {name: volume.get(name) or "" for name in HEADINGS}
    fields["Labels"] = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    return Row(fields, {"Label": lambda name: labels.get(name, "")})
