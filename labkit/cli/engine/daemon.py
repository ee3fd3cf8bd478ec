"""`labkit daemon`: labkitd in the foreground, until ctrl-C."""

import os

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.client.daemon import daemon_command
from labkit.dialect.daemon_options import BOOL, OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    [
        Flag("config-file", "", "string", "Read options from this file", word="path"),
        Flag("validate", "", "bool", "Check the options and the file, and end"),
        *(
            Flag(o.flag_name, o.short, "bool" if o.kind == BOOL else "list", o.help,
                 initial=None, word=o.kind)
            for o in OPTIONS
        ),
    ],
    at_most=0,
)  # fmt: skip


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Replace this process by the daemon; it returns only with an OSError."""
    command = daemon_command(context.paths)
    if options["config_file"]:
        command += ["--config-file", options["config_file"]]
    if options["validate"]:
        command.append("--validate")
    for option in OPTIONS:
        value = options[option.flag_name.replace("-", "_")]
        texts = [str(value).lower()] if isinstance(value, bool) else value or []
        command += [f"--{option.flag_name}={text}" for text in texts]
    os.execv(command[0], command)
