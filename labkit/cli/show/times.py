"""Times as Docker's command words and reads them."""

import time

from labkit.errors import InvalidParameterError

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": MINUTE_S, "h": HOUR_S}


def ago(seconds: float) -> str:
    """How long ago something was: `5 minutes ago`, `About an hour ago`."""
    return f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """A length of time in words, in the steps of Docker's tables."""
    whole, minutes, hours = int(seconds), int(seconds / MINUTE_S), round(seconds / HOUR_S)
    days = hours // 24
    steps = (
        (whole < 1, "Less than a second"),
        (whole == 1, "1 second"),
        (whole < MINUTE_S, f"{whole} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (days < 14, f"{days} days"),
        (days < 60, f"{days // 7} weeks"),
        (days < 730, f"{days // 30} months"),
    )
    return next((words for holds, words in steps if holds), f"{days // 365} years")


def rfc3339(seconds: float) -> str:
    """A moment in this machine's zone: `2026-01-31T12:00:00Z`, `2026-01-31T13:00:00+01:00`."""
    local = time.localtime(seconds)
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", local)
    return f"{text[:-2]}:{text[-2:]}" if local.tm_gmtoff else f"{text[:-5]}Z"


def parse_time(text: str, now_s: float) -> float:
    """A Unix time in seconds, from one, from a time (RFC 3339), or from a duration before `now_s`.

    A duration is as in Go: `10m`, `1h30m`, `-5s` for what is still to come.  A time without a zone
    is local, and a date is midnight.
    InvalidParameterError.
    """
    if _is_number(text):
        return float(text)
    seconds = parse_duration(text.removeprefix("-"))
    if seconds is not None:
        return now_s + seconds if text.startswith("-") else now_s - seconds
    import datetime  # noqa: PLC0415 rarely needed

    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise InvalidParameterError(
            f'failed to parse value as time or duration: "{text}": '
            "give 2026-01-31T12:00:00Z, 10m, or seconds since 1970"
        ) from None


def parse_duration(text: str) -> float | None:
    """The seconds in `1h30m`, `1.5s` or `300ms`; None if it is no duration."""
    total, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("numsh"))]
        # "1m30s": the unit ends where a digit begins, so `lstrip` has taken exactly the unit.
        rest = rest[len(unit) :]
        if unit not in _UNITS_S or not _is_number(number):
            return None
        total += float(number) * _UNITS_S[unit]
    return total if text else None


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and text.isascii()
