"""One thread that listens to every shim.

A shim sends a message when its container has started (to the caller that asked for the start),
when a client has detached, and when the container has ended.  The end may come hours later; this
thread waits for the ends of all containers.
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
"""Called with the shim's report of the end, or None if the shim ended without one."""

OnDetach = Callable[[], None]
"""Called when a client has detached with its detach keys."""


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
        """Listen to a shim; the connection is closed after the call of `on_end`."""
        self._watched[connection.fileno()] = (connection, on_end, on_detach)
        self._epoll.register(connection, select.EPOLLIN)

    def stop(self) -> None:
        """End the thread and close every connection; the shims keep running."""
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
            # This thread must keep listening to all other shims.
            sys.excepthook(*sys.exc_info())
        connection.close()
