"""`labkit network ls`: list networks."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.cli.show.table import short_id
from labkit.client.api import filters_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("filter", "f", "list", "Show those that match (driver=bridge, name=web, …)"),
        FORMAT,
        Flag("no-trunc", "", "bool", "Show IDs in full"),
        Flag("quiet", "q", "bool", "Show only IDs"),
    ),
    at_most=0,
)
HEADINGS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
COLUMNS = ("ID", "Name", "Driver", "Scope")


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table, or one id a line."""
    filters = filters_json(filters_from(options["filter"]))
    networks = context.api().get("/networks", filters=filters)
    networks.sort(key=lambda network: network["Name"])
    form = "{{.ID}}" if options["quiet"] else options["format"]
    rows = [_row(network, options["no_trunc"]) for network in networks]
    sys.stdout.write(render(form, HEADINGS, COLUMNS, rows))
    return 0


def _row(network: "dict[str, Any]", full: bool) -> Row:
    labels = network.get("Labels") or {}
    fields = {
        "ID": short_id(network["Id"], full),
        "Name": network["Name"],
        "Driver": network["Driver"],
        "Scope": network["Scope"],
        "IPv6": str(network["EnableIPv6"]).lower(),
        "Internal": str(network["Internal"]).lower(),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "CreatedAt": network["Created"],
    }
    return Row(fields, {"Label": lambda name: labels.get(name, "")})
