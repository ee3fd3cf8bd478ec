"""Knowing that a user has typed the keys that leave a container's terminal (`ctrl-p,ctrl-q`).

The engine acts on them: it closes the client's connection and the container goes on.  The client
only watches for them, to tell this end of the stream from the container's own.
"""

from labkit.dialect import detach_keys


class DetachWatch:
    """Sees what is sent to the container."""

    def __init__(self, keys: str) -> None:
        """`keys` as users write them; InvalidParameterError if one is unknown."""
        self._sequence = detach_keys.parse(keys)
        self._last = b""
        self.has_left = False
        """Whether the keys have been typed; what comes after them reaches nobody."""

    def see(self, data: bytes) -> None:
        """This has been typed; the keys may come in several pieces."""
        seen = self._last + data
        self.has_left = self.has_left or self._sequence in seen
        self._last = seen[-len(self._sequence) :]
