"""`labkit volume create`: make a volume."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag
from labkit.client.volumes import volume_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] [VOLUME]",
    (
        Flag("driver", "d", "string", "Driver of the volume: local", initial="local"),
        Flag("label", "", "list", "Attach a label (name=value)"),
        Flag("opt", "o", "list", "Option of the driver (name=value)"),
    ),
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print its name, given or generated."""
    body = volume_body(
        arguments[0] if arguments else "",
        driver=options["driver"],
        driver_opts=_pairs(options["opt"]),
        labels=_pairs(options["label"]),
    )
    print(context.api().post("/volumes/create", body)["Name"])
    return 0


def _pairs(given: list[str]) -> dict[str, str]:
    for text in given:
        if text.startswith("="):
            raise UsageError(f"'{text}' has no name: it must be NAME=VALUE")
    return {text.partition("=")[0]: text.partition("=")[2] for text in given}
