"""One thread that waits for many sockets and deadlines, and runs the callbacks for them.

A callback must not block, since all others would wait for it.  Only `post` and `stop` may be called
from other threads.
"""

import collections
import heapq
import itertools
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable

from labkit.kernel import threads

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
Callback = Callable[[], None]


class Timer:
    """A call at a later time, unless it is cancelled."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Cancel the call."""
        self.callback = None


class Loop:
    """The thread.  It starts with the first `post`."""

    def __init__(self, name: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._posted: collections.deque[Callback] = collections.deque()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._wake_fd, READ, self._take_posted)
        self._is_stopped = False
        self._lock = threading.Lock()
        self._thread = threads.lasting(self._run, name)

    def post(self, callback: Callback) -> None:
        """Run a callback in the thread, soon."""
        with self._lock:
            if self._is_stopped:
                return
            if not self._thread.is_alive():
                self._thread.start()
            self._posted.append(callback)
            os.eventfd_write(self._wake_fd, 1)

    def stop(self, last: Callback) -> None:
        """Run one last callback in the thread, and end the thread."""
        if not self._thread.is_alive():
            return
        self.post(last)
        self.post(self._stop)
        self._thread.join()
        self._selector.close()
        os.close(self._wake_fd)

    def _stop(self) -> None:
        with self._lock:
            self._is_stopped = True

    # The following methods may only be called in the thread

    def watch(self, file: socket.socket, events: int, callback: Callback) -> None:
        """Call `callback` whenever `file` is ready for `events`; replaces an earlier watch."""
        if file in self._selector.get_map():
            self._selector.modify(file, events, callback)
        else:
            self._selector.register(file, events, callback)

    def forget(self, file: socket.socket) -> None:
        """Stop watching; must be called before the file is closed."""
        if file in self._selector.get_map():
            self._selector.unregister(file)

    def after(self, delay_s: float, callback: Callback) -> Timer:
        """Call `callback` after a delay."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay_s, next(self._numbers), timer))
        return timer

    def _run(self) -> None:
        while not self._is_stopped:
            ready = self._selector.select(self._time_left())
            for key, _ in ready:
                # An earlier callback of this round may have closed it: skip what is not watched.
                if self._selector.get_map().get(key.fd) == key:
                    _call(key.data)
            self._call_timers()

    def _time_left(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _call_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                _call(timer.callback)

    def _take_posted(self) -> None:
        os.eventfd_read(self._wake_fd)
        while self._posted:
            _call(self._posted.popleft())


def _call(callback: Callback) -> None:
    try:
        callback()
    except Exception:
        # A defect of labkit with one client must not end the service for the others.
        sys.excepthook(*sys.exc_info())
