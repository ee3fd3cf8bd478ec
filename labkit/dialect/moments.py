"""Points in time: in the form of records, logs and the API, and in the form of users.

The functions that need `datetime` import it: the spawner and most commands do not need it.
"""

import time

from labkit.dialect import durations
from labkit.errors import InvalidParameterError

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time, which means never."""


def timestamp(time_ns: int) -> str:
    """Return a point in time as RFC 3339 with nanoseconds, in UTC."""
    seconds, nanoseconds = divmod(time_ns, durations.NS_PER_S)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def unix_s(text: str) -> float:
    """Return an RFC 3339 time in UTC as seconds since 1970; 0 for Go's zero time and for ""."""
    if not text or text == ZERO_TIME:
        return 0.0
    import datetime  # noqa: PLC0415 see above

    # Python reads six digits of a second, Docker writes nine: they are read separately.
    seconds, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.datetime.fromisoformat(seconds)
        if fraction.isdecimal():
            return moment.replace(tzinfo=datetime.UTC).timestamp() + float(f"0.{fraction}")
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0  # an image may have any text here


def parse_s(text: str, now_s: float) -> float:
    """Return a user's time in seconds since 1970 (Docker's `--since` and `until=`).

    A number means these seconds; a duration means so long before `now_s`, or after it if negative;
    a time is RFC 3339 or its beginning, in this machine's zone unless it names one.
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
