"""`labkit daemon`: labkitd in the foreground, until ctrl-C."""

import os

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.daemon import daemon_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "",
    [
        Flag(
            "storage-driver",
            "",
            "string",
            "How a new data root keeps layers: overlayfs, loop or copies (default: what works)",
            word="driver",
        ),
        Flag(
            "userns-remap",
            "",
            "string",
            "Give containers users of their own: ids of /etc/subuid, or default",
            word="user[:group]",
        ),
    ],
    at_most=0,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Become the daemon; returns only by OSError."""
    command = daemon_command(context.paths)
    for name in ("storage-driver", "userns-remap"):
        if value := options[name.replace("-", "_")]:
            command += [f"--{name}", value]
    os.execv(command[0], command)
