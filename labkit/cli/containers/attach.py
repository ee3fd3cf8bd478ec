"""`labkit attach`: attach to the first process of a running container."""

from labkit.cli.attached.attachment import join
from labkit.cli.attached.streams import DETACH_KEYS, SIG_PROXY
from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.api import container_path
from labkit.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER",
    (DETACH_KEYS, Flag("no-stdin", "", "bool", "Do not pass our stdin on"), SIG_PROXY),
    at_least=1,
    at_most=1,
)
REFUSED = {
    "paused": "You cannot attach to a paused container, unpause it first",
    "restarting": "You cannot attach to a restarting container, wait until it is running",
}
STOPPED = "You cannot attach to a stopped container, start it first"


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Return the container's exit code; 0 if the user detaches."""
    api = context.api()
    container = api.get(f"{container_path(arguments[0])}/json")
    status = container["State"]["Status"]
    if status != "running":
        raise ConflictError(REFUSED.get(status, STOPPED))
    return join(context, api, container, options, stdin=not options["no_stdin"])
