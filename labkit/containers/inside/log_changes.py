"""Waiting for changes in the folder of a log, for all clients that follow it.

One inotify descriptor serves all followers, because a user may have only about 128 of them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from labkit.kernel import inotify

_MASK = inotify.IN_MODIFY | inotify.IN_MOVED_TO | inotify.IN_CREATE | inotify.IN_ONLYDIR
POLL_S = 0.05
"""How often a follower looks when the kernel gives it no watch (its limit is reached)."""


class Change:
    """Whether something has changed since `wait` last returned True."""

    def __init__(self, *, is_watched: bool) -> None:
        self.is_watched = is_watched
        self._event = threading.Event()

    def tell(self) -> None:
        """Report a change."""
        self._event.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a change; True if there was one, or may have been one."""
        if not self.is_watched:
            self._event.wait(POLL_S)
            return True
        changed = self._event.wait(timeout_s)
        self._event.clear()
        return changed


class Watches:
    """The folders that are watched, with their followers.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: dict[int, set[Change]] = {}
        self._fd = -1

    @contextmanager
    def of(self, folder: str) -> Iterator[Change]:
        """The changes in a folder during the block."""
        change = Change(is_watched=True)
        try:
            watch = self._add(folder, change)
        except OSError:
            yield Change(is_watched=False)
            return
        try:
            yield change
        finally:
            self._remove(watch, change)

    def _add(self, folder: str, change: Change) -> int:
        with self._lock:
            if self._fd < 0:
                self._fd = inotify.create()
                threading.Thread(target=self._serve, name="log changes", daemon=True).start()
            watch = inotify.add(self._fd, folder, _MASK)
            self._followers.setdefault(watch, set()).add(change)
            return watch

    def _remove(self, watch: int, change: Change) -> None:
        with self._lock:
            followers = self._followers[watch]
            followers.discard(change)
            if not followers:
                del self._followers[watch]
                with suppress(OSError):  # the kernel removed the watch with the folder
                    inotify.remove(self._fd, watch)

    def _serve(self) -> None:
        """Report each change to the followers, as long as the process runs."""
        while True:
            events = inotify.read(self._fd)
            with self._lock:
                for watch, mask in events:
                    lost = mask & inotify.IN_Q_OVERFLOW
                    told = [watch] if not lost else list(self._followers)
                    for each in told:
                        for change in self._followers.get(each, ()):
                            change.tell()


WATCHES = Watches()
"""The watches of this process."""
