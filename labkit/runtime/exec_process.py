"""A further process in a running container: what `exec` starts, beside the first one.

It enters the namespaces of the container's first process, and is given up the same power.  It has
streams of its own, no log, and its own client.
"""

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, cast

from labkit.kernel import messages
from labkit.runtime import operations
from labkit.runtime.birth import StepFailedError, exit_code_of, give_birth
from labkit.runtime.streams import Attachment, Streams, make_pipes


class ExecRequest(NamedTuple):
    """What the daemon asks for: the operations, encoded, and how the streams are."""

    clone: tuple[object, ...]
    child: list[tuple[object, ...]]
    environment: list[str]
    tty: bool
    open_stdin: bool
    attached: list[Attachment]
    """The clients attached from the start; their sockets came with the request."""


class ExecProcess:
    """One process started by `exec`, and the daemon's connection that asked for it."""

    def __init__(
        self,
        daemon: socket.socket,
        selector: selectors.BaseSelector,
        forget: Callable[[], object],
    ) -> None:
        self._daemon = daemon
        self._selector = selector
        self._forget = forget
        self.pidfd = -1

    def start(self, request: ExecRequest, first_pidfd: int, fds: list[int]) -> None:
        """Start the process and tell the daemon: `started` with its pid, or `failed`."""
        clone = cast("operations.Clone", operations.decode([request.clone])[0])
        pipes = make_pipes(request.open_stdin, request.tty)
        pairs = (word.split("=", 1) for word in request.environment)
        context = operations.Context(pipes.child, dict(pairs), pipes.terminal, first_pidfd)
        self.streams = Streams(self._selector, pipes, None, stdin_once=True)
        for fd, options in zip(fds, request.attached, strict=True):
            self.streams.attach(fd, options)
        try:
            born = give_birth(
                clone.clone, operations.decode(request.child), context, self.streams.begin
            )
        except StepFailedError as failure:
            self.streams.close()
            self._tell("failed", *failure.args)
            self._forget()
            return
        self.pidfd = born.pidfd
        self._selector.register(self.pidfd, selectors.EVENT_READ, self._ended)
        self._tell("started", born.pid)

    def _ended(self, fd: int, events: int) -> None:
        self._selector.unregister(self.pidfd)
        self.finish()
        self._forget()

    def finish(self) -> None:
        """Reap it, hand on what it has printed, and tell the daemon its exit code."""
        code = exit_code_of(self.pidfd)
        self.streams.drain()
        self._tell("exited", code)
        self.streams.close()

    def _tell(self, kind: str, *values: object) -> None:
        # A daemon that died does not hear it; nobody else knows of this process.
        with suppress(OSError):
            messages.send(self._daemon, (kind, *values))
