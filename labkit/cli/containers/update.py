"""`labkit update`: change the limits and the restart policy of containers."""

import sys

from labkit.cli.base.command import Command, Context, for_each
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag
from labkit.cli.values import limits
from labkit.cli.values.options import restart_policy
from labkit.client.api import container_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    (
        *limits.FLAGS_OF_UPDATE,
        Flag("restart", "", "string", "Restart it: no, on-failure[:times], always, unless-stopped"),
    ),
    at_least=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the name of each changed container; warnings go to stderr."""
    body = limits.changes(options)
    policy = restart_policy(options["restart"])
    if policy:
        body["RestartPolicy"] = policy
    if not body:
        raise UsageError("you must provide one or more flags when using this command")
    api = context.api()

    def update(name: str) -> None:
        answer = api.post(f"{container_path(name)}/update", body) or {}
        sys.stderr.writelines(f"WARNING: {text}\n" for text in answer.get("Warnings") or [])

    return for_each(arguments, update)
