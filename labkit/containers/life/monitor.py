"""One thread that listens to every shim.

A shim speaks when its container has started, to whoever asked for it; when a client has detached;
and when the container has ended.  That may be hours later; it is awaited here, for all together.
"""

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import Any, cast

from labkit.kernel import messages, threads

OnEnd = Callable[[list[Any] | None], None]
"""Called with what the shim told of the end, or None when it has gone without telling."""

OnDetach = Callable[[], None]
"""Called when a client has left by its detach keys."""


class Monitor:
    """Waits for the ends of containers.  The callbacks run in its thread, so they are short."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[socket.socket, OnEnd, OnDetach]] = {}
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._stop_fd, select.EPOLLIN)
        self._thread = threads.lasting(self._run, "monitor")
        self._thread.start()

    def watch(self, connection: socket.socket, on_end: OnEnd, on_detach: OnDetach) -> None:
        """Listen to a shim; the connection is closed after `on_end` was called."""
        self._watched[connection.fileno()] = (connection, on_end, on_detach)
        self._epoll.register(connection, select.EPOLLIN)

    def stop(self) -> None:
        """End the thread and close every connection; the shims go on."""
        os.eventfd_write(self._stop_fd, 1)
        self._thread.join()
        for connection, *_ in self._watched.values():
            connection.close()
        self._epoll.close()
        os.close(self._stop_fd)

    def _run(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                if fd == self._stop_fd:
                    return
                self._hear(fd)

    def _hear(self, fd: int) -> None:
        connection, on_end, on_detach = self._watched[fd]
        told: list[Any] | None = None
        with contextlib.suppress(OSError):
            if (message := messages.receive(connection)) is not None:
                kind, *values = cast("list[Any]", message[0])
                if kind == "detached":
                    on_detach()
                if kind != "exited":
                    return
                told = values
        self._epoll.unregister(fd)
        del self._watched[fd]
        try:
            on_end(told)
        except Exception:
            # This thread must go on hearing of all the others.
            sys.excepthook(*sys.exc_info())
        connection.close()
