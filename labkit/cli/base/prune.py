"""The prune commands: a question first, then a list of the removed objects."""

import sys

from labkit.cli.base.command import Context
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.client.api import filters_json
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORCE = Flag("force", "f", "bool", "Do not ask")
FILTER = Flag("filter", "", "list", "Only those that match (label=…, until=…)")


def prune(
    context: Context, options: "dict[str, Any]", path: str, *, warning: str, deleted: str
) -> int:
    """Ask, unless `--force`; then have the engine prune.  `deleted` names the answer's list."""
    if not options["force"] and not agreed(warning):
        return 0
    filters = filters_json(filters_from(options["filter"]))
    answer = context.api().post(path, filters=filters)
    say_deleted(deleted, answer.get(deleted) or [])
    print(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}")
    return 0


def say_deleted(deleted: str, names: "list[str | dict[str, str]]") -> None:
    """Print what was removed; `deleted` is the answer's name for the list: `ContainersDeleted`."""
    if names:
        sys.stdout.write(f"Deleted {deleted.removesuffix('Deleted')}:\n")
        sys.stdout.writelines(f"{line}\n" for name in names for line in _lines(name))
        sys.stdout.write("\n")


def _lines(name: "str | dict[str, str]") -> list[str]:
    """Return the lines of one name; for images the engine also says what happened."""
    if isinstance(name, str):
        return [name]
    return [f"{what.lower()}: {which}" for what, which in name.items()]


def agreed(warning: str) -> bool:
    """Ask on the terminal; return whether the answer was yes."""
    sys.stdout.write(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print()
    return answer.strip().lower() in ("y", "yes")
