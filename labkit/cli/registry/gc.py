"""`labkit registry gc`: remove unused blobs of a registry."""

import os

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.registry.serve import root_of
from labkit.dialect.sizes import human_size
from labkit.errors import NotFoundError
from labkit.registry.server.garbage import Sweep, collect
from labkit.registry.server.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NANOS = 10**9
HOUR_NS = 3600 * NANOS

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("root", "", "string", "Where images are kept", word="folder"),
        Flag("delete-untagged", "m", "bool", "Remove the manifests without a tag as well"),
        Flag("dry-run", "d", "bool", "Print what would be removed, and remove nothing"),
        Flag("older-than", "", "duration", "Spare younger blobs (default 1h)", initial=HOUR_NS),
    ),
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print what is removed, and how much disk space that frees."""
    root = root_of(context, options)
    if not os.path.isdir(f"{root}/repositories"):
        raise NotFoundError(f"there is no registry in {root}; name its folder with --root")
    sweep = Sweep(options["older_than"] / NANOS, options["delete_untagged"], options["dry_run"])
    swept = collect(Store(root), sweep)
    for line in swept.lines:
        print(f"{'would remove' if sweep.dry_run else 'removed'} {line}")
    freed = human_size(swept.freed_bytes)
    print(f"Would reclaim space: {freed}" if sweep.dry_run else f"Total reclaimed space: {freed}")
    return 0
