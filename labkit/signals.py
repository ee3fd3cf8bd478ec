"""Signals by name or number, as `kill -s` and STOPSIGNAL take them (signal(7))."""

import signal

from labkit.dialect.numbers import whole
from labkit.errors import InvalidParameterError

_SHOWN_CHARACTERS = 60


def parse_signal(text: str) -> int:
    """Return the number of `SIGTERM`, `term`, `15` or `RTMIN+3`; InvalidParameterError."""
    word = text.strip().upper().removeprefix("SIG")
    number = whole(word, 1, signal.SIGRTMAX)
    if number is not None:
        return number
    base, plus, offset = word.partition("+")
    if plus and base == "RTMIN":
        number = whole(offset, 0, signal.SIGRTMAX - signal.SIGRTMIN)
        if number is not None:
            return signal.SIGRTMIN + number
    elif f"SIG{word}" in signal.Signals.__members__:
        return signal.Signals[f"SIG{word}"].value
    raise InvalidParameterError(f"invalid signal: {text[:_SHOWN_CHARACTERS]}")
