"""`labkit ps`: list containers."""

import json
import sys
import time

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.cli.show.ports import displayed
from labkit.cli.show.table import short_id, shortened
from labkit.client.api import filters_json
from labkit.dialect.durations import ago

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("all", "a", "bool", "Show all containers, not only the running ones"),
        Flag("filter", "f", "list", "Show those that match (status=exited, name=web, …)"),
        FORMAT,
        Flag("last", "n", "int", "Show the last so many created, in any state", initial=-1),
        Flag("latest", "l", "bool", "Show the one created last, in any state"),
        Flag("no-trunc", "", "bool", "Show IDs and commands in full"),
        Flag("quiet", "q", "bool", "Show only IDs"),
        Flag("size", "s", "bool", "Show how much each has written"),
    ),
    at_most=0,
)
HEADINGS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
}
COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
COMMAND_WIDTH = 20
MOUNT_WIDTH = 15


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table, or one id a line."""
    form = options["format"]
    columns = (*COLUMNS, "Size") if options["size"] else COLUMNS
    containers = context.api().get(
        "/containers/json",
        all=options["all"],
        limit=1 if options["latest"] else max(options["last"], 0) or None,
        filters=filters_json(filters_from(options["filter"])),
        size=options["size"] or ".Size" in form,
    )
    now, full = time.time(), options["no_trunc"]
    if options["quiet"]:
        sys.stdout.writelines(f"{short_id(each['Id'], full)}\n" for each in containers)
        return 0
    rows = [row(each, full, now) for each in containers]
    sys.stdout.write(render(form, HEADINGS, columns, rows))
    return 0


def row(container: "dict[str, Any]", full: bool, now_s: float) -> Row:
    """Return a container's fields."""
    command, labels = container["Command"], container.get("Labels") or {}
    mounts = [each.get("Name") or each["Source"] for each in container.get("Mounts") or []]
    fields = {
        "ID": short_id(container["Id"], full),
        "Image": _image(container["Image"], full),
        "Command": json.dumps(
            command if full else shortened(command, COMMAND_WIDTH), ensure_ascii=False
        ),
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(container["Created"])),
        "RunningFor": ago(now_s - container["Created"]),
        "Status": container["Status"],
        "State": container["State"],
        "Ports": displayed(container.get("Ports") or []),
        "Names": ",".join(name.removeprefix("/") for name in container["Names"]),
        "Size": _size(container),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        "Mounts": ",".join(each if full else shortened(each, MOUNT_WIDTH) for each in mounts),
        "LocalVolumes": str(
            sum(each.get("Type") == "volume" for each in container.get("Mounts") or [])
        ),
        "Networks": ",".join((container.get("NetworkSettings") or {}).get("Networks") or {}),
    }
    return Row(fields, {"Label": lambda name: labels.get(name, "")})


def _image(name: str, full: bool) -> str:
    """Return an image's name; its id if it has lost its name."""
    if full:
        return name
    return short_id(name, full) if name.startswith("sha256:") else name.partition("@")[0]


def _size(container: "dict[str, Any]") -> str:
    """Return what it has written, and with its image: `27B (virtual 4.26MB)`; 0B if not asked."""
    from labkit.dialect.sizes import human_size  # noqa: PLC0415 rarely shown

    written = human_size(container.get("SizeRw") or 0)
    whole = container.get("SizeRootFs")
    return f"{written} (virtual {human_size(whole)})" if whole else written
