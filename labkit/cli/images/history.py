"""`labkit history`: the origin of an image, layer by layer."""

import sys
import time

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.cli.show.table import short_id, shortened
from labkit.cli.show.times import rfc3339
from labkit.cli.values.platform import PLATFORM
from labkit.client.api import image_path
from labkit.dialect.durations import ago
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] IMAGE",
    (
        FORMAT,
        Flag("human", "H", "bool", "Sizes and times for people (default true)", initial=True),
        Flag("no-trunc", "", "bool", "Show IDs and commands in full"),
        PLATFORM,
        Flag("quiet", "q", "bool", "Show only IDs"),
    ),
    at_least=1,
    at_most=1,
)
HEADINGS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
CREATED_BY_COLUMNS = 45


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table, the newest first, or one id a line."""
    lines = context.api().get(
        f"{image_path(arguments[0])}/history", platform=options["platform"] or None
    )
    form = "{{.ID}}" if options["quiet"] else options["format"]
    now_s = time.time()
    columns = list(COLUMNS)
    if not options["human"]:
        columns[columns.index("CreatedSince")] = "CreatedAt"
    rows = (_row(line, options, now_s) for line in lines)
    sys.stdout.write(render(form, HEADINGS, columns, rows))
    return 0


def _row(line: "dict[str, Any]", options: "dict[str, Any]", now_s: float) -> Row:
    created_by = line["CreatedBy"].replace("\t", " ")
    full = options["no_trunc"]
    created_at = rfc3339(line["Created"])
    return Row(
        {
            "ID": short_id(line["Id"], full),
            "CreatedSince": ago(now_s - line["Created"]) if options["human"] else created_at,
            "CreatedAt": created_at,
            "CreatedBy": created_by if full else shortened(created_by, CREATED_BY_COLUMNS),
            "Size": human_size(line["Size"]) if options["human"] else str(line["Size"]),
            "Comment": line["Comment"],
        }
    )
