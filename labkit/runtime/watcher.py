"""Waiting for many files at once, and calling whoever asked to be told (epoll(7)).

What one call does may concern the files of the calls that follow in the same round: it may close
one of them, and a file opened thereupon gets its number.  Therefore a call is made only if the file
is still watched as it was when the round began; what is left out comes again in the next round.
"""

import select
import sys
from collections.abc import Callable
from typing import NamedTuple

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR
"""The other side has closed both directions; this is always told, also to who watches for 0."""

Callback = Callable[[int], None]
"""Called with the events that are there."""


class _Watch(NamedTuple):
    """Made anew for each call of `watch`, so that its identity says which one it was."""

    callback: Callback


class Watcher:
    """The files that one process waits for."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, _Watch] = {}

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call `callback` whenever these events are there, instead of what was watched before."""
        if fd in self._watches:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watches[fd] = _Watch(callback)

    def forget(self, fd: int) -> None:
        """Watch the file no more; to be called before it is closed."""
        if self._watches.pop(fd, None):
            self._epoll.unregister(fd)

    def serve(self, timeout_s: float | None = None) -> None:
        """Wait until something happens, or for so long at most, and make the calls."""
        timeout = None if timeout_s is None else max(timeout_s, 0)
        round_ = [(fd, events, self._watches[fd]) for fd, events in self._epoll.poll(timeout)]
        for fd, events, watch in round_:
            if self._watches.get(fd) is not watch:
                continue
            try:
                watch.callback(events)
            except Exception:
                # A defect of ours with one file must not end what the others belong to.
                sys.excepthook(*sys.exc_info())
                self.forget(fd)
