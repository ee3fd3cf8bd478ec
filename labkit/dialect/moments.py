"""Points in time: as records, logs and the API write them, and as users name them.

`datetime` is imported by the functions that need it: the spawner and most commands do not.
"""

import time

from labkit.dialect import durations
from labkit.errors import InvalidParameterError

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time, which stands for never."""


def timestamp(time_ns: int) -> str:
    """A point in time as RFC 3339 with nanoseconds, in UTC."""
    seconds, nanoseconds = divmod(time_ns, durations.NS_PER_S)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def unix_s(text: str) -> float:
    """An RFC 3339 time in UTC as seconds since 1970; 0 for Go's zero time and for no time."""
    if not text or text == ZERO_TIME:
        return 0.0
    import datetime  # noqa: PLC0415 see above

    # Python reads six digits of a second, Docker writes nine: they are read apart.
    seconds, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.datetime.fromisoformat(seconds)
        if fraction.isdecimal():
            return moment.replace(tzinfo=datetime.UTC).timestamp() + float(f"0.{fraction}")
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0  # an image may say anything


def parse_s(text: str, now_s: float) -> float:
    """The moment that a user names, in seconds since 1970 (Docker's `--since` and `until=`).

    A number is such seconds; a duration is so long before `now_s`, and one below zero after it; a
    time is RFC 3339 or its beginning, in this machine's zone unless it names one.
    InvalidParameterError.
    """
    if text.replace(".", "", 1).isdecimal() and text.isascii() and len(text) <= 40:
        return float(text)
    duration_ns = durations.parse_ns(text)
    if duration_ns is not None:
        return now_s - duration_ns / durations.NS_PER_S
    import datetime  # noqa: PLC0415 see above

    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise InvalidParameterError(
            f'failed to parse value as time or duration: "{text[:60]}": '
            "give 2026-01-31T12:00:00Z, 10m, or seconds since 1970"
        ) from None
