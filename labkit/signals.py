"""Signals by name or number, as `kill -s` and STOPSIGNAL take them (signal(7))."""

import signal

from labkit.errors import InvalidParameterError


def parse_signal(text: str) -> int:
    """The number of `SIGTERM`, `term`, `15` or `RTMIN+3`; InvalidParameterError if none is."""
    word = text.strip().upper().removeprefix("SIG")
    if word.isdecimal() and 0 < int(word) <= signal.SIGRTMAX:
        return int(word)
    base, plus, offset = word.partition("+")
    if plus and base == "RTMIN" and offset.isdecimal():
        number = signal.SIGRTMIN + int(offset)
        if number <= signal.SIGRTMAX:
            return number
    elif f"SIG{word}" in signal.Signals.__members__:
        return signal.Signals[f"SIG{word}"].value
    raise InvalidParameterError(f"Invalid signal: {text}")
