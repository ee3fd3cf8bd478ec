"""The keys that detach from a container's terminal, in the users' form: `ctrl-p,ctrl-q`.

The grammar is Docker's: keys separated by commas, each one character or `ctrl-` and one of
`@`, `a` to `z`, `[`, `\\`, `]`, `^`, `_` (the control characters of ASCII), or `DEL`.
"""

from labkit.errors import InvalidParameterError

DEFAULT = bytes([16, 17])
"""ctrl-p, ctrl-q."""

_NAMED = {f"ctrl-{chr(code + 0x60)}": code for code in range(1, 27)} | {
    "ctrl-@": 0,
    "ctrl-[": 27,
    "ctrl-\\": 28,
    "ctrl-]": 29,
    "ctrl-^": 30,
    "ctrl-_": 31,
    "DEL": 127,
}


def parse(text: str) -> bytes:
    """Return what a terminal sends for these keys; for the default ones if the text is empty."""
    if not text:
        return DEFAULT
    return bytes(_code(key, text) for key in text.split(","))


def _code(key: str, text: str) -> int:
    if len(key) == 1 and key.isascii():
        return ord(key)
    if key not in _NAMED:
        raise InvalidParameterError(f"Invalid detach keys ({text}) provided: unknown key {key!r}")
    return _NAMED[key]
