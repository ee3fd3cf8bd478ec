"""The end of a build before its end: its client has gone, or a stage has failed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from labkit.build.errors import CancelledError


class Cancellation:
    """The one switch that ends a build.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._actions: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Whether the build has been ended."""
        return self._is_set

    def check(self) -> None:
        """CancelledError if the build has been ended."""
        if self._is_set:
            raise CancelledError("the build was cancelled")

    def set(self) -> None:
        """End the build."""
        with self._lock:
            self._is_set = True
            actions = list(self._actions)
        for action in actions:
            action()

    @contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """While the block lasts, `action` is called when the build is ended."""
        with self._lock:
            self._actions.append(action)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._actions.remove(action)
