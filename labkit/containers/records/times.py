"""Times as records and logs write them: RFC 3339 in UTC, with nanoseconds."""

import datetime


def unix_time(text: str) -> float:
    """The seconds since 1970 of a time such as `2024-05-01T12:00:00.123456789Z`."""
    # Python 3.11 takes six digits of a second, Docker writes nine: parse them apart.
    seconds, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(seconds).replace(tzinfo=datetime.UTC)
    return moment.timestamp() + float(f"0.{fraction or 0}")
