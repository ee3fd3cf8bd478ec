"""Times as the API shows them: seconds since 1970, and "3 minutes ago" in Docker's steps."""

import datetime

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time, which stands for never."""

_MINUTE_S = 60
_HOUR_S = 60 * _MINUTE_S
_DAY_H = 24


def unix_s(text: str) -> float:
    """An RFC 3339 time in UTC as seconds since 1970; 0 for Go's zero time and for no time."""
    if not text or text == ZERO_TIME:
        return 0.0
    return datetime.datetime.fromisoformat(text).timestamp()


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
