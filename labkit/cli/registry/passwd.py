"""`labkit registry passwd`: give a user of a registry a password."""

import sys

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.errors import InvalidParameterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] FILE USER",
    (Flag("password-stdin", "", "bool", "Read the password from standard input"),),
    at_least=2,
    at_most=2,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Ask for the password, and write the user's line."""
    path, user = arguments
    password = _from_input() if options["password_stdin"] else _asked_twice()
    from labkit.registry.server.passwords import set_password  # noqa: PLC0415 brings bcrypt

    set_password(path, user, password)
    print(f"{user} can log in at a registry with --auth {path}")
    return 0


def _from_input() -> str:
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


def _asked_twice() -> str:
    if not sys.stdin.isatty():
        raise InvalidParameterError("there is no terminal to ask on: use --password-stdin")
    from getpass import getpass  # noqa: PLC0415 only for a question

    password = getpass("Password: ")
    if getpass("Again: ") != password:
        raise InvalidParameterError("the two passwords differ; nothing was written")
    return password
