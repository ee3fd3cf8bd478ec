"""The keys by which a user detaches from a container without ending it (ctrl-p ctrl-q)."""


class DetachKeys:
    """Watches a client's input for a sequence of keys, which may come in several pieces."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        """The beginning of the sequence, held until it is known whether the rest follows."""

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """Return the part of `data` that is input, and whether the user has detached."""
        if not self._keys:
            return data, False
        data, self._held = self._held + data, b""
        before, found, _ = data.partition(self._keys)
        if found:
            return before, True
        for length in range(min(len(self._keys) - 1, len(data)), 0, -1):
            if data.endswith(self._keys[:length]):
                self._held = data[-length:]
                return data[:-length], False
        return data, False
