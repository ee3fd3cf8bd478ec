"""`labkit start`: start created or stopped containers."""

from labkit.cli.attached.streams import DETACH_KEYS, SIG_PROXY
from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag
from labkit.client.api import container_path
from labkit.errors import NotModifiedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.client.api import Api

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        Flag("attach", "a", "bool", "Attach to it: show its output, and pass signals on"),
        DETACH_KEYS,
        Flag("interactive", "i", "bool", "Attach to it, and pass our stdin on"),
        SIG_PROXY,
    ),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each started container; return the exit code of an attached one."""
    if options["attach"] or options["interactive"]:
        if len(arguments) > 1:
            raise UsageError("you cannot start and attach multiple containers at once")
        return _attached(context, options, arguments[0])
    api = context.api()
    return for_each(arguments, lambda name: _start(api, name))


def _start(api: "Api", name: str) -> None:
    try:
        api.post(f"{container_path(name)}/start")
    except NotModifiedError:
        return  # it runs already


def _attached(context: Context, options: "dict[str, Any]", name: str) -> int:
    from labkit.cli.attached.attachment import join  # noqa: PLC0415 needed only here

    api = context.api()
    container = api.get(f"{container_path(name)}/json")
    return join(
        context,
        api,
        container,
        options,
        stdin=options["interactive"],
        begin=lambda: _start(api, name),
    )
