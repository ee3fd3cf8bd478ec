"""`labkit system prune`: remove all unused objects."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.base.prune import FILTER, FORCE, agreed, say_deleted
from labkit.client.api import filters_json
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (
        Flag("all", "a", "bool", "All images that no container uses, not only the nameless"),
        FILTER,
        FORCE,
        Flag("volumes", "", "bool", "Anonymous volumes as well"),
    ),
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print what was removed, and the space it took."""
    every, volumes = options["all"], options["volumes"]
    filters = filters_from(options["filter"])
    if not options["force"] and not agreed(_warning(every, volumes, caches=not filters)):
        return 0
    of_images = {**filters, "dangling": ["false" if every else "true"]}
    rounds = [("ContainersDeleted", "/containers/prune", filters)]
    rounds += [("NetworksDeleted", "/networks/prune", filters)]
    rounds += [("VolumesDeleted", "/volumes/prune", filters)] if volumes else []
    rounds += [("ImagesDeleted", "/images/prune", of_images)]
    # A cache has no labels, and `until` does not ask for the time of its last use.
    rounds += [("CachesDeleted", "/build/prune", filters)] if not filters else []
    api, reclaimed_bytes = context.api(), 0
    for deleted, path, asked in rounds:
        answer = api.post(path, filters=filters_json(asked))
        reclaimed_bytes += answer.get("SpaceReclaimed") or 0
        say_deleted(deleted, answer.get(deleted) or [])
    print(f"Total reclaimed space: {human_size(reclaimed_bytes)}")
    return 0


def _warning(every: bool, volumes: bool, *, caches: bool) -> str:
    images = "images without at least one container" if every else "dangling images"
    parts = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        parts.append("all anonymous volumes not used by at least one container")
    parts.append(f"all {images}")
    if caches:
        parts.append("all build cache")
    return "This will remove:\n" + "".join(f"  - {part}\n" for part in parts)
