"""`labkit system df`: the use of the disk, and how much of it could be reclaimed."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import BAD_FLAG, UsageError
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (FORMAT, Flag("verbose", "v", "bool", "Show every image, container and volume")),
    at_most=0,
)
HEADINGS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
COLUMNS = tuple(HEADINGS)
ALIVE = ("running", "paused", "restarting")


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table with a row for each kind of object."""
    usage = context.api().get("/system/df")
    if options["verbose"]:
        if options["format"]:
            raise UsageError("use --format or --verbose, not both", BAD_FLAG)
        from labkit.cli.engine.disk_usage_verbose import details  # noqa: PLC0415 only on request

        sys.stdout.write(details(usage))
        return 0
    rows = _rows(usage)
    sys.stdout.write(render(options["format"], HEADINGS, COLUMNS, rows))
    return 0


def _rows(usage: "dict[str, Any]") -> "Iterator[Row]":
    images = usage["Images"]
    used = [image for image in images if image["Containers"]]
    used_bytes = sum(image["Size"] - image["SharedSize"] for image in used)
    layers_bytes = usage["LayersSize"]
    yield _row("Images", images, used, layers_bytes, max(0, layers_bytes - used_bytes))
    for name, kind, is_active, size_of in (
        ("Containers", "Containers", _is_alive, _written_bytes),
        ("Local Volumes", "Volumes", _is_used, _volume_bytes),
        ("Build Cache", "BuildCache", _is_in_use, _cache_bytes),
    ):
        things = usage.get(kind) or []
        active = [thing for thing in things if is_active(thing)]
        total_bytes = sum(map(size_of, things))
        yield _row(name, things, active, total_bytes, total_bytes - sum(map(size_of, active)))


def _row(
    name: str, things: list[object], active: list[object], size_bytes: int, free_bytes: int
) -> Row:
    share = f" ({100 * free_bytes // size_bytes}%)" if size_bytes else ""
    return Row(
        {
            "Type": name,
            "TotalCount": str(len(things)),
            "Active": str(len(active)),
            "Size": human_size(size_bytes),
            "Reclaimable": human_size(free_bytes) + share,
        }
    )


def _is_alive(container: "dict[str, Any]") -> bool:
    return container["State"] in ALIVE


def _written_bytes(container: "dict[str, Any]") -> int:
    return int(container.get("SizeRw") or 0)


def _is_used(volume: "dict[str, Any]") -> bool:
    return bool(volume["UsageData"]["RefCount"])


def _volume_bytes(volume: "dict[str, Any]") -> int:
    return int(volume["UsageData"]["Size"])


def _is_in_use(cache: "dict[str, Any]") -> bool:
    return bool(cache["InUse"])


def _cache_bytes(cache: "dict[str, Any]") -> int:
    return int(cache["Size"])
