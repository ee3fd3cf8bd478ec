"""`labkit ps`: list containers."""

import json
import sys
import time

from labkit.cli.command import Command, Context
from labkit.cli.filters import filters_from
from labkit.cli.flags import Flag
from labkit.cli.table import short_id, shortened, table
from labkit.cli.times import ago
from labkit.client.api import filters_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("all", "a", "bool", "Show all containers, not only the running ones"),
        Flag("filter", "f", "list", "Show those that fit (status=exited, name=web, …)"),
        Flag("last", "n", "int", "Show the last so many created, in any state", initial=-1),
        Flag("latest", "l", "bool", "Show the one created last, in any state"),
        Flag("no-trunc", "", "bool", "Show IDs and commands in full"),
        Flag("quiet", "q", "bool", "Show only IDs"),
    ),
    at_most=0,
)
HEADINGS = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")
COMMAND_WIDTH = 20


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """A table, or one id a line."""
    containers = context.api().get(
        "/containers/json",
        all=options["all"],
        limit=1 if options["latest"] else max(options["last"], 0) or None,
        filters=filters_json(filters_from(options["filter"])),
    )
    full = options["no_trunc"]
    if options["quiet"]:
        sys.stdout.writelines(f"{short_id(each['Id'], full)}\n" for each in containers)
        return 0
    now = time.time()
    sys.stdout.write(table(HEADINGS, [_row(each, full, now) for each in containers]))
    return 0


def _row(container: "dict[str, Any]", full: bool, now_s: float) -> list[str]:
    command = container["Command"]
    return [
        short_id(container["Id"], full),
        container["Image"],
        json.dumps(command if full else shortened(command, COMMAND_WIDTH), ensure_ascii=False),
        ago(now_s - container["Created"]),
        container["Status"],
        "",
        ",".join(name.removeprefix("/") for name in container["Names"]),
    ]
