"""Fair shares of the questions that may be under way to other servers at once.

All containers together may have only so many, for each takes a descriptor of the daemon's.  One
that has more than another gives way: its oldest question fails, and the other's is asked.
"""

from collections.abc import Callable, Hashable

MOST_OF_ONE = 64
MOST_OF_ALL = 256


class Shares:
    """The questions under way, by who asks.  Not thread-safe."""

    def __init__(self, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL) -> None:
        self._most_of_one = most_of_one
        self._most_of_all = most_of_all
        self._of: dict[Hashable, dict[int, Callable[[], None]]] = {}
        self._number = 0
        self._count = 0

    def take(self, client: Hashable, give_way: Callable[[], None]) -> int | None:
        """A number for one more question of a client; None if it must not ask.

        `give_way` is called if another needs the place more; the number is given back by then.
        """
        own = self._of.setdefault(client, {})
        if len(own) >= self._most_of_one or not self._has_room(own):
            self._forget_idle(client)
            return None
        self._number += 1
        own[self._number] = give_way
        self._count += 1
        return self._number

    def give_back(self, client: Hashable, number: int) -> None:
        """A question is answered, or nobody waits for it any more."""
        if self._of.get(client, {}).pop(number, None) is not None:
            self._count -= 1
        self._forget_idle(client)

    def _has_room(self, own: dict[int, Callable[[], None]]) -> bool:
        if self._count < self._most_of_all:
            return True
        client, most = max(self._of.items(), key=lambda found: len(found[1]))
        if len(most) <= len(own) + 1:
            return False
        oldest = next(iter(most))
        give_way = most[oldest]
        self.give_back(client, oldest)
        give_way()
        return True

    def _forget_idle(self, client: Hashable) -> None:
        if not self._of.get(client, True):
            del self._of[client]
