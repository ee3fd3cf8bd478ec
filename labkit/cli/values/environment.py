"""`--env` and `--env-file`: the variables that a process gets from the command."""

import os

from labkit.cli.base.errors import BAD_FLAG, UsageError, bad_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def environment(options: "dict[str, Any]") -> list[str]:
    """Return the variables of `--env-file` and then of `--env`, as `NAME=value`; UsageError."""
    return [_variable(text) for text in lines_of(options["env_file"]) + options["env"]]


def lines_of(paths: list[str]) -> list[str]:
    """Return the lines of the files, without empty ones and those after a `#`; UsageError."""
    lines = []
    for path in paths:
        try:
            with open(path, encoding="utf-8-sig") as file:
                lines += [line.rstrip("\n").lstrip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise UsageError(f"cannot read {path}: {reason}", BAD_FLAG) from error
    return [line for line in lines if line and not line.startswith("#")]


def _variable(text: str) -> str:
    """Return `NAME=value` as it is; for a bare `NAME` the command's own value, if it has one."""
    name, equals, _ = text.partition("=")
    if not name:
        raise bad_value(text, "-e, --env", "it has no name")
    if equals or name not in os.environ:
        return text
    return f"{name}={os.environ[name]}"
