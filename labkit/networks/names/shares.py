"""Fair shares of the questions to other servers that may be in progress at once.

Their number is limited for all containers together, for each needs a descriptor of the daemon.  If
the limit is reached, the container with the most questions loses its oldest one, so that another
can ask.
"""

from collections.abc import Callable, Hashable

MOST_OF_ONE = 64
MOST_OF_ALL = 256


class Shares:
    """The questions in progress, by container.  Not thread-safe."""

    def __init__(self, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL) -> None:
        self._most_of_one = most_of_one
        self._most_of_all = most_of_all
        self._of: dict[Hashable, dict[int, Callable[[], None]]] = {}
        self._number = 0
        self._count = 0

    def take(self, client: Hashable, give_way: Callable[[], None]) -> int | None:
        """Return a number for one more question of a client; None if it may not ask.

        `give_way` is called if another client needs the place; the number is free by then.
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
        """Free the number of a question that is answered or no longer needed."""
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
