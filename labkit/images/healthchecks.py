"""HEALTHCHECK, in a Dockerfile and in `commit --change`: from its text to the image's field."""

import re
from collections.abc import Mapping

import msgspec

from labkit.dialect import durations
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.images.models import Healthcheck

FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")

_LEAST_NANOS = 10**6
"""A healthcheck's times are at least a millisecond, as in Docker."""
_MOST_RETRIES = 2**31 - 1
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:\s+|$)")


def read(arguments: str) -> Healthcheck:
    """Read all that follows the word HEALTHCHECK; InvalidParameterError."""
    flags: dict[str, str] = {}
    while found := _FLAG.match(arguments):
        name, value = found.groups()
        if name not in FLAGS:
            raise InvalidParameterError(f"unknown flag: --{name}; known are {', '.join(FLAGS)}")
        if not value:
            raise InvalidParameterError(f"missing a value on flag: --{name}")
        flags[name] = value
        arguments = arguments[found.end() :]
    check(arguments, has_flags=bool(flags))
    return made(flags, arguments)


def check(text: str, *, has_flags: bool) -> None:
    """Check the text after the flags; InvalidParameterError."""
    kind, rest = _type_and_rest(text)
    if kind.upper() == "NONE":
        if rest or has_flags:
            raise InvalidParameterError("HEALTHCHECK NONE takes no arguments")
    elif kind.upper() != "CMD":
        raise InvalidParameterError(f'Unknown type "{kind}" in HEALTHCHECK (try CMD)')
    elif not rest:
        raise InvalidParameterError("Missing command after HEALTHCHECK CMD")


def made(flags: Mapping[str, str], text: str) -> Healthcheck:
    """Return the healthcheck of flags and the text after them, which `check` has passed."""
    kind, command = _type_and_rest(text)
    return Healthcheck(
        test=["NONE"] if kind.upper() == "NONE" else _test(command),
        interval=_nanos(flags, "interval"),
        timeout=_nanos(flags, "timeout"),
        start_period=_nanos(flags, "start-period"),
        start_interval=_nanos(flags, "start-interval"),
        retries=_retries(flags.get("retries", "")),
    )


def _type_and_rest(text: str) -> tuple[str, str]:
    kind, rest = [*text.split(None, 1), "", ""][:2]
    return kind, rest.strip()


def _test(command: str) -> list[str]:
    """Return the exec form, a JSON list, or a line for the shell."""
    if command.startswith("["):
        try:
            return ["CMD", *msgspec.json.decode(command.encode(), type=list[str])]
        except UNREADABLE:
            pass  # a line for the shell may begin so, too
    return ["CMD-SHELL", command]


def _nanos(flags: Mapping[str, str], flag: str) -> int:
    text = flags.get(flag, "")
    if not text:
        return 0
    nanos = durations.parse_ns(text)
    if nanos is None or nanos < 0:
        raise InvalidParameterError(
            f'invalid duration "{text}" for --{flag}: a duration is needed, such as 1m30s'
        )
    if 0 < nanos < _LEAST_NANOS:
        raise InvalidParameterError(f'Interval "{flag}" cannot be less than 1ms: {text}')
    return nanos


def _retries(text: str) -> int:
    if not text:
        return 0
    if re.fullmatch(r"-\d+", text):
        raise InvalidParameterError(f"--retries cannot be negative ({text})")
    if not text.isdecimal() or len(text) > 10 or int(text) > _MOST_RETRIES:
        raise InvalidParameterError(
            f"--retries={text}: a number from 0 to {_MOST_RETRIES} is needed"
        )
    return int(text)
