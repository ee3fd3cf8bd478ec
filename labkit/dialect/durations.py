"""Lengths of time: in the form of Go's programs (`1h30m`), and in the words of Docker's tables.

The command line imports this at each call, so it imports nothing heavy: no regular expression.
"""

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
NS_PER_S = 10**9
UNITS_NS = {
    **{"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6},
    **{"s": NS_PER_S, "m": MINUTE_S * NS_PER_S, "h": HOUR_S * NS_PER_S},
}
LONGEST_NS = 2**63 - 1
"""The longest duration of the API: 292 years."""
_DIGITS = "0123456789"


def parse_ns(text: str) -> int | None:
    """Return the nanoseconds in `1h30m`, `1.5s`, `-300ms` or `0` (Go's time.ParseDuration).

    None if it is no duration, or one of more than 292 years.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total_ns, found = 0, False
    while rest:
        number, rest = _split(rest, _DIGITS + ".")
        unit, rest = _split(rest, "numshµμ")
        whole, _, fraction = number.partition(".")
        if unit not in UNITS_NS or "." in fraction or not 0 < len(whole + fraction) <= 40:
            return None
        unit_ns = UNITS_NS[unit]
        total_ns += int(whole or 0) * unit_ns + int(fraction or 0) * unit_ns // 10 ** len(fraction)
        found = True
    return sign * total_ns if found and total_ns <= LONGEST_NS else None


def _split(text: str, characters: str) -> tuple[str, str]:
    rest = text.lstrip(characters)
    return text[: len(text) - len(rest)], rest


def human(seconds: float) -> str:
    """Return a duration in words, in the steps of Docker's tables: `About an hour` (go-units)."""
    whole, minutes, hours = int(seconds), int(seconds / MINUTE_S), int(seconds / HOUR_S + 0.5)
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


def ago(seconds: float) -> str:
    """Return how long ago something was: `5 minutes ago`, `About an hour ago`."""
    return f"{human(seconds)} ago"
