"""The size of a terminal in a request: `?h=24&w=80`."""

from labkit.daemon.requests import Request
from labkit.errors import InvalidParameterError

LARGEST = 65535
"""The kernel keeps both in 16 bits (ioctl_tty(2), TIOCSWINSZ)."""


def size(request: Request) -> tuple[int, int]:
    """Height and width in characters; InvalidParameterError if one is missing or out of range."""
    return _number(request, "h"), _number(request, "w")


def _number(request: Request, name: str) -> int:
    value = request.query.integer(name)
    if value is None or not 0 <= value <= LARGEST:
        raise InvalidParameterError(f"{name} must be a number of characters, 0 to {LARGEST}")
    return value
