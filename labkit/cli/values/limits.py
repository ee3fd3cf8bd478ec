"""The flags of limits, and their fields in requests: from the table that both sides read."""

from labkit.cli.base.flags import Flag
from labkit.dialect.limits import LIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLAGS = tuple(
    Flag(row.flag, row.letter, row.kind, row.help, initial=row.unset, word=row.word)
    for row in LIMITS
)
"""The flags of `run` and `create`."""
FLAGS_OF_UPDATE = tuple(flag for flag, row in zip(FLAGS, LIMITS, strict=True) if row.can_change)


def asked(options: "dict[str, Any]") -> "dict[str, Any]":
    """Return the arguments of `create_body` for these options."""
    return {row.keyword: options[row.option] for row in LIMITS}


def changes(options: "dict[str, Any]") -> dict[str, object]:
    """Return the fields of the API for the limits that are given."""
    return {
        row.field: options[row.option]
        for row in LIMITS
        if row.can_change and options[row.option] != row.unset
    }
