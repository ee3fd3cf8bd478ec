"""`labkit rmi`: remove names of images, and images with their last name."""

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.flags import Flag
from labkit.client.api import image_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] IMAGE [IMAGE...]",
    (
        Flag("force", "f", "bool", "Also remove all its names, and images of stopped containers"),
        Flag("no-prune", "", "bool", "Keep the nameless images that it was made from"),
    ),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the removed names and layers; with `--force` a missing image is no failure."""
    api = context.api()

    def remove(name: str) -> str:
        report = api.delete(image_path(name), force=options["force"], noprune=options["no_prune"])
        return "\n".join(f"{what}: {which}" for line in report for what, which in line.items())

    return for_each(arguments, remove, forgive_missing=options["force"])
