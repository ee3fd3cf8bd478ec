"""How much one container may ask: so many queries a second, and some more at once.  Pure."""


class Budget:
    """A bucket that fills at `rate` a second up to `most`, and from which each query takes one."""

    def __init__(self, rate: float, most: float, now: float) -> None:
        self._rate = rate
        self._most = most
        self._left = most
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one; False if there is none.  `now` is in seconds, of a clock that only grows."""
        self._left = min(self._most, self._left + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
