"""Times as the API shows them: seconds since 1970, and "3 minutes ago" in Docker's steps."""

import datetime
import re

from labkit.errors import InvalidParameterError
from labkit.http.requests import SECONDS

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time, which stands for never."""

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_H = 24

_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(f"(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?")


def unix_s(text: str) -> float:
    """An RFC 3339 time in UTC as seconds since 1970; 0 for Go's zero time and for no time."""
    if not text or text == ZERO_TIME:
        return 0.0
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0  # an image may say anything


def whole_seconds(text: str) -> str:
    """An RFC 3339 time in UTC without its fraction."""
    return text.partition(".")[0].removesuffix("Z") + "Z"


def moment_s(text: str, now_s: float) -> float:
    """The moment that a filter such as `until` names, in seconds since 1970.

    A time (RFC 3339, or the beginning of one), seconds since 1970, or how long ago (`1h30m`).
    """
    ago_s = _duration_s(text)
    if ago_s is not None:
        return now_s - ago_s
    if SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameterError(f"invalid filter: {text[:60]} is not a time") from None
    return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=datetime.UTC).timestamp()


def _duration_s(text: str) -> float | None:
    """A duration in Go's words (`1h30m`, `10.5s`); None for what is none."""
    parts = _DURATION.fullmatch(text)
    if not text or parts is None:
        return None
    return sum(
        float(number) * unit_s
        for number, unit_s in zip(parts.groups("0"), (_HOUR_S, _MINUTE_S, 1, 0.001), strict=True)
    )


def human_duration(seconds: float) -> str:
    """A duration as `docker ps` words it: "Less than a second", "5 minutes", "About an hour"."""
    whole_s, minutes = int(seconds), int(seconds / _MINUTE_S)
    hours = int(seconds / _HOUR_S + 0.5)
    steps = (
        (whole_s < 1, "Less than a second"),
        (whole_s == 1, "1 second"),
        (whole_s < _MINUTE_S, f"{whole_s} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 2 * _DAY_H, f"{hours} hours"),
        (hours < 14 * _DAY_H, f"{hours // _DAY_H} days"),
        (hours < 60 * _DAY_H, f"{hours // _DAY_H // 7} weeks"),
        (hours < 730 * _DAY_H, f"{hours // _DAY_H // 30} months"),
    )
    return next((text for holds, text in steps if holds), f"{hours // _DAY_H // 365} years")
