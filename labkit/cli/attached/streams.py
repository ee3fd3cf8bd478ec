"""The streams a command attaches to, and the detach keys: flags of `run`, `attach`, `exec`."""

import os

from labkit.cli.base.errors import UsageError, bad_value
from labkit.cli.base.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ATTACH = Flag("attach", "a", "list", "Attach to stdin, stdout or stderr alone", word="stream")
DETACH_KEYS = Flag(
    "detach-keys", "", "string", "Keys to leave the terminal (default ctrl-p,ctrl-q)"
)
SIG_PROXY = Flag("sig-proxy", "", "bool", "Pass our signals on (default true)", initial=True)

STREAMS = ("stdin", "stdout", "stderr")
STDIN, STDOUT = 0, 1


def chosen(options: "dict[str, Any]") -> list[str]:
    """Return the streams that `--attach` names, or the default ones; UsageError."""
    asked = [name.lower() for name in options["attach"]]
    for name in asked:
        if name not in STREAMS:
            raise bad_value(name, "-a, --attach", "it must be stdin, stdout or stderr")
    if asked:
        return asked
    return list(STREAMS) if options["interactive"] else ["stdout", "stderr"]


def check_is_terminal() -> None:
    """Raise UsageError, in Docker's words, unless stdin is a terminal."""
    if not os.isatty(STDIN):
        raise UsageError("the input device is not a TTY")


def console_size() -> "tuple[int, int] | None":
    """Return height and width of the command's terminal, in characters; None without one."""
    for fd in (STDOUT, STDIN):
        try:
            columns, lines = os.get_terminal_size(fd)
        except OSError:
            continue
        if columns and lines:
            return lines, columns
    return None
