"""Wait for many files at once, and call the function registered for each (epoll(7)).

One call may concern the files of later calls in the same round: it may close one of them, and a
file opened afterwards gets its number.  So a call is made only if the file is still watched as it
was when the round began; an event that is skipped is reported again in the next round.
"""

import select
import sys
from collections.abc import Callable
from typing import NamedTuple

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR
"""The other side has closed both directions; epoll reports this even for an event mask of 0."""

Callback = Callable[[int], None]
"""The function to call with the events that occurred."""


class _Watch(NamedTuple):
    """A new object for each call of `watch`, so that its identity distinguishes the calls."""

    callback: Callback


class Watcher:
    """The files that a process waits for."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, _Watch] = {}

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call `callback` whenever these events occur, in place of an earlier watch of `fd`."""
        if fd in self._watches:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watches[fd] = _Watch(callback)

    def forget(self, fd: int) -> None:
        """Stop watching the file; the caller does this before it closes it."""
        if self._watches.pop(fd, None):
            self._epoll.unregister(fd)

    def serve(self, timeout_s: float | None = None) -> None:
        """Wait until an event occurs, or at most so long, and make the calls."""
        timeout = None if timeout_s is None else max(timeout_s, 0)
        round_ = [(fd, events, self._watches[fd]) for fd, events in self._epoll.poll(timeout)]
        for fd, events, watch in round_:
            if self._watches.get(fd) is not watch:
                continue
            try:
                watch.callback(events)
            except Exception:
                # A defect of labkit with one file must not stop the service of the others.
                sys.excepthook(*sys.exc_info())
                self.forget(fd)
