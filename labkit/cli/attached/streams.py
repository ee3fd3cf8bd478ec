"""Which streams a command joins, and how it leaves them: flags of `run`, `attach` and `exec`."""

import os

from labkit.cli.base.errors import BAD_FLAG, UsageError
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
    """The streams that `--attach` names, or those there are without it; UsageError."""
    asked = [name.lower() for name in options["attach"]]
    for name in asked:
        if name not in STREAMS:
            message = f'invalid argument "{name}" for "-a, --attach" flag: '
            raise UsageError(message + "it is stdin, stdout or stderr", BAD_FLAG)
    if asked:
        return asked
    return list(STREAMS) if options["interactive"] else ["stdout", "stderr"]


def check_is_terminal() -> None:
    """UsageError, in Docker's words, unless stdin is a terminal."""
    if not os.isatty(STDIN):
        raise UsageError("the input device is not a TTY")


def console_size() -> "tuple[int, int] | None":
    """Height and width of our terminal, in characters; None if there is none."""
    for fd in (STDOUT, STDIN):
        try:
            columns, lines = os.get_terminal_size(fd)
        except OSError:
            continue
        if columns and lines:
            return lines, columns
    return None
