"""Times as Docker's command shows them."""

import time


def rfc3339(seconds: float) -> str:
    """Return a local time: `2026-01-31T12:00:00Z`, `2026-01-31T13:00:00+01:00`."""
    local = time.localtime(seconds)
    text = time.strftime("%Y-%m-%dT%H:%M:%S%z", local)
    return f"{text[:-2]}:{text[-2:]}" if local.tm_gmtoff else f"{text[:-5]}Z"
