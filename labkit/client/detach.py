"""Knowing that a user has typed the keys that leave a container's terminal (`ctrl-p,ctrl-q`).

The engine acts on them: it closes the client's connection and the container goes on.  The client
only watches for them, to tell this end of the stream from the container's own.
"""

from labkit.errors import InvalidParameterError

DEFAULT_KEYS = "ctrl-p,ctrl-q"
_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
"""The characters of `ctrl-…`, in the order of their codes (ASCII, 0 to 31)."""


class DetachWatch:
    """Sees what is sent to the container."""

    def __init__(self, keys: str) -> None:
        """`keys` as users write them; InvalidParameterError if one is unknown."""
        self._sequence = bytes(_code(key, keys) for key in (keys or DEFAULT_KEYS).split(","))
        self._last = b""
        self.has_left = False
        """Whether the keys have been typed; what comes after them reaches nobody."""

    def see(self, data: bytes) -> None:
        """This has been typed; the keys may come in several pieces."""
        seen = self._last + data
        self.has_left = self.has_left or self._sequence in seen
        self._last = seen[-len(self._sequence) :]


def _code(key: str, keys: str) -> int:
    name = key.removeprefix("ctrl-")
    if name != key and len(name) == 1 and name in _CONTROL:
        return _CONTROL.index(name)
    if key == "DEL":
        return 127
    if len(key) == 1 and key.isascii():
        return ord(key)
    raise InvalidParameterError(f"Invalid detach keys ({keys}) provided: unknown key {key!r}")
