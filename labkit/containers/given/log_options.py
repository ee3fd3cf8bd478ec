"""How a container's log is kept: Docker's `--log-opt max-size=10m --log-opt max-file=3`.

Without options a log keeps the last 100 MB, in five files, as Docker's driver `local` does: a
container that never stops printing would fill the disk.  `max-size=-1` keeps everything.

`labels`, `env` and `tag` say what `logs --details` shows before each line.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote_plus, urlsplit

from labkit.containers.records.model import Container, LogConfig
from labkit.errors import InvalidParameterError

JSON_FILE, LOCAL, NONE = "json-file", "local", "none"
NO_FILE = "/dev/null"
"""The path of the log of a container that keeps none."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)b?", re.IGNORECASE)
_FIELD = re.compile(r"\{\{ *\.(\w+) *\}\}")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
"""Decimal, as Docker reads this option."""
_MOST_FILES = 1000
_MOST_BYTES = 2**63
_OF_FILES = ("max-size", "max-file", "compress")
_OF_ALL = ("mode", "max-buffer-size")
_OF_DETAILS = ("labels", "env", "tag")
DRIVERS = {
    JSON_FILE: (*_OF_FILES, *_OF_ALL, *_OF_DETAILS),
    LOCAL: (*_OF_FILES, *_OF_ALL, *_OF_DETAILS),
    NONE: _OF_ALL,
    "syslog": (*_OF_ALL, *_OF_DETAILS, "syslog-address", "syslog-facility", "syslog-format"),
    "journald": (*_OF_ALL, *_OF_DETAILS),
    "fluentd": (*_OF_ALL, *_OF_DETAILS, "fluentd-address", "fluentd-async"),
    "gelf": (*_OF_ALL, *_OF_DETAILS, "gelf-address"),
}
"""The options of each driver.  json-file and local keep the log in one form."""
SENT = ("syslog", "journald", "fluentd", "gelf")
"""The drivers that also send the log elsewhere (labkit.containers.inside.shipping)."""
_SCHEMES = ("tcp", "udp", "unix", "unixgram")
_MODES = ("blocking", "non-blocking")
_TRUTHS = ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False")


class LogLimits(NamedTuple):
    """The limits of a log: `max_files` files of at most `max_bytes` each (0: no limit)."""

    max_bytes: int = 20 * 10**6
    max_files: int = 5


def limits(config: LogConfig) -> LogLimits:
    """Read the limits from the options; InvalidParameterError in Docker's words."""
    driver = config.type or JSON_FILE
    if driver not in DRIVERS:
        raise InvalidParameterError(
            f'error looking up logging plugin {driver}: plugin "{driver}" not found'
        )
    options = config.config or {}
    for name in options:
        if name not in DRIVERS[driver]:
            raise InvalidParameterError(f"unknown log opt '{name}' for {driver} log driver")
    _check_delivery(options)
    if driver == NONE:
        return LogLimits(0, 1)
    if driver in SENT:
        _check_place(driver, options)
        return LogLimits()
    default = LogLimits()
    if not {"max-size", "max-file"} & options.keys():
        return default
    max_bytes = _size(options["max-size"]) if "max-size" in options else default.max_bytes
    max_files = _files(options.get("max-file", "1"))
    if max_files > 1 and not max_bytes:
        raise InvalidParameterError("max-file needs max-size: a log without it stays in one file")
    return LogLimits(max_bytes, max_files)


def _check_delivery(options: Mapping[str, str]) -> None:
    """InvalidParameterError for bad values of options that are accepted and have no effect here.

    The shim writes to a file, so that no container waits for a reader (`mode`).  The files that
    are kept never take more room than max-size and max-file say (`compress`).
    """
    mode = options.get("mode") or "blocking"
    if mode not in _MODES:
        raise InvalidParameterError(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options and mode != "non-blocking":
        raise InvalidParameterError(
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
        )
    if "max-buffer-size" in options:
        _size(options["max-buffer-size"], "max-buffer-size")
    if (truth := options.get("compress", "false")) not in _TRUTHS:
        raise InvalidParameterError(f"invalid value for compress: {truth!r} is not true or false")


FACILITIES = {
    name: number
    for number, name in enumerate((
        *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
        *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
        *(f"local{number}" for number in range(8)),
    ))
}  # fmt: skip
"""The numbers of syslog's facilities (RFC 5424, 6.2.1)."""


def _check_place(driver: str, options: Mapping[str, str]) -> None:
    """InvalidParameterError for an address or a facility that no log can be sent to."""
    address = options.get(f"{driver}-address", "")
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        is_place = parts.scheme in _SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:
        is_place = False
    if not is_place:
        raise InvalidParameterError(
            f"{driver}-address should be in form proto://address, got {address}"
        )
    facility = options.get("syslog-facility", "daemon")
    if facility not in FACILITIES and not facility.isdecimal():
        raise InvalidParameterError(f"invalid syslog facility: {facility}")
    if driver == "gelf" and not address:
        raise InvalidParameterError("gelf-address is a required parameter")


def keeps_log(container: Container) -> bool:
    """Whether the container's output can be read afterwards."""
    return container.host_config.log_config.type != NONE


def details(container: Container) -> str:
    """The values of the options `labels`, `env` and `tag` for `logs --details`: `name=value,…`.

    They are sorted by name.
    """
    options = container.host_config.log_config.config or {}
    variables = dict(word.partition("=")[::2] for word in container.config.env or [])
    found = {
        name: values[name]
        for option, values in (("labels", container.config.labels or {}), ("env", variables))
        for name in options.get(option, "").split(",")
        if name in values
    }
    if "tag" in options:
        found["tag"] = _tag(options["tag"], container)
    return ",".join(f"{quote_plus(name)}={quote_plus(found[name])}" for name in sorted(found))


def tag(container: Container) -> str:
    """The tag of a container's lines in another log: the option `tag`, or the short id."""
    return _tag((container.host_config.log_config.config or {}).get("tag") or "{{.ID}}", container)


def _tag(template: str, container: Container) -> str:
    """The option `tag` with the container's values; unknown fields are left unchanged."""
    fields = {
        "ID": container.id[:12],
        "FullID": container.id,
        "Name": container.name,
        "ImageID": container.image_id.removeprefix("sha256:")[:12],
        "ImageFullID": container.image_id,
        "ImageName": container.config.image,
        "DaemonName": "docker",
    }
    return _FIELD.sub(lambda match: fields.get(match[1], match[0]), template)


def _files(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) <= len(str(_MOST_FILES)) else 0
    if not 1 <= number <= _MOST_FILES:
        raise InvalidParameterError(
            f"max-file cannot be less than 1, nor more than {_MOST_FILES}: {text!r}"
        )
    return number


def _size(text: str, option: str = "max-size") -> int:
    if text == "-1":
        return 0
    match = _SIZE.fullmatch(text)
    size = float(match[1]) * _UNITS[match[2].lower()] if match else 0.0
    if not 1 <= size < _MOST_BYTES:
        raise InvalidParameterError(f"invalid {option}: {text!r} is not a size such as 10m")
    return int(size)
