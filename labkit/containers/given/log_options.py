"""How a container's log is kept: Docker's `--log-opt max-size=10m --log-opt max-file=3`.

Without options a log keeps the last 100 MB, in five files, as Docker's driver `local` does: a
container that prints without end would fill the disk.  `max-size=-1` keeps all.

`labels` and `env` name what `logs --details` shows before each line.
"""

import re
from typing import NamedTuple
from urllib.parse import quote_plus

from labkit.containers.records.model import Container, LogConfig
from labkit.errors import InvalidParameterError

JSON_FILE = "json-file"
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
"""Decimal, as Docker reads this option."""
_MOST_FILES = 1000
_MOST_BYTES = 2**63
_OPTIONS = ("max-size", "max-file", "labels", "env")


class LogLimits(NamedTuple):
    """When a log is cut: files of `max_bytes` at most (0: no limit), so many of them."""

    max_bytes: int = 20 * 10**6
    max_files: int = 5


def limits(config: LogConfig) -> LogLimits:
    """What was asked; InvalidParameterError, in Docker's words, for what makes no sense."""
    if config.type not in ("", JSON_FILE):
        raise InvalidParameterError(
            f"logger: no log driver named '{config.type}' is registered: labkit has {JSON_FILE}"
        )
    options = config.config or {}
    for name in options:
        if name not in _OPTIONS:
            raise InvalidParameterError(f"unknown log opt '{name}' for {JSON_FILE} log driver")
    default = LogLimits()
    if not {"max-size", "max-file"} & options.keys():
        return default
    max_bytes = _size(options["max-size"]) if "max-size" in options else default.max_bytes
    max_files = _files(options.get("max-file", "1"))
    if max_files > 1 and not max_bytes:
        raise InvalidParameterError("max-file needs max-size: a log that is not cut has one file")
    return LogLimits(max_bytes, max_files)


def details(container: Container) -> str:
    """The labels and variables that the options `labels` and `env` name, as `logs --details` has
    them: `name=value,…`, by name.
    """
    options = container.host_config.log_config.config or {}
    variables = dict(word.partition("=")[::2] for word in container.config.env or [])
    found = {
        name: values[name]
        for option, values in (("labels", container.config.labels or {}), ("env", variables))
        for name in options.get(option, "").split(",")
        if name in values
    }
    return ",".join(f"{quote_plus(name)}={quote_plus(found[name])}" for name in sorted(found))


def _files(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) <= len(str(_MOST_FILES)) else 0
    if not 1 <= number <= _MOST_FILES:
        raise InvalidParameterError(
            f"max-file cannot be less than 1, nor more than {_MOST_FILES}: {text!r}"
        )
    return number


def _size(text: str) -> int:
    if text == "-1":
        return 0
    match = _SIZE.fullmatch(text)
    size = float(match[1]) * _UNITS[match[2].lower()] if match else 0.0
    if not 1 <= size < _MOST_BYTES:
        raise InvalidParameterError(f"invalid max-size: {text!r} is not a size such as 10m")
    return int(size)
