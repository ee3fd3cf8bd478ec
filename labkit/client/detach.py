"""The keys that detach from a container's terminal (`ctrl-p,ctrl-q`), seen by the client.

The engine acts on them: it closes the client's connection and the container continues.  The client
only watches for them, to tell this end of the stream from the container's own.
"""

from labkit.dialect import detach_keys


class DetachWatch:
    """Watches the input for the container."""

    def __init__(self, keys: str) -> None:
        """`keys` in the users' form; InvalidParameterError if one is unknown."""
        self._sequence = detach_keys.parse(keys)
        self._last = b""
        self.has_left = False
        """Whether the keys have been typed; later input goes nowhere."""

    def see(self, data: bytes) -> None:
        """Take typed input; the keys may arrive in several pieces."""
        seen = self._last + data
        self.has_left = self.has_left or self._sequence in seen
        self._last = seen[-len(self._sequence) :]
