"""The limit of one container's queries: a rate per second, and a number at once.  Pure."""


class Budget:
    """A bucket that fills at `rate` a second up to `most`; each query takes one from it."""

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one; False if the bucket is empty.  `now`: seconds of a monotonic clock."""
        self._left = min(self._most, self._left + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
