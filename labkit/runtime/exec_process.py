"""A further process in a running container: what `exec` starts, beside the first one.

It enters the namespaces of the container's first process, and is given up the same power.  It has
streams of its own, no log, and its own client.
"""

import signal
import socket
import time
from contextlib import suppress
from typing import NamedTuple, cast

from labkit.kernel import messages
from labkit.runtime import operations
from labkit.runtime.birth import StepFailedError, exit_code_of, give_birth
from labkit.runtime.streams import Attachment, Streams, make_pipes
from labkit.runtime.watcher import READABLE, Watcher

DRAIN_S = 2.0
"""How long output is awaited after a process's end: a process it has left behind may hold its pipes
open for ever, and a client may never read."""


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

    def __init__(self, daemon: socket.socket, watcher: Watcher) -> None:
        self._daemon = daemon
        self._watcher = watcher
        self._pidfd = -1
        self._code: int | None = None
        self.deadline: float | None = None
        """Until when its output is awaited, by the monotonic clock; None while it runs."""

    def start(self, request: ExecRequest, first_pidfd: int, fds: list[int]) -> bool:
        """Start the process and tell the daemon: `started` with its pid, or `failed` (False)."""
        clone = cast("operations.Clone", operations.decode([request.clone])[0])
        pipes = make_pipes(request.open_stdin, request.tty)
        pairs = (word.split("=", 1) for word in request.environment)
        context = operations.Context(pipes.child, dict(pairs), pipes.terminal, first_pidfd)
        self.streams = Streams(
            self._watcher,
            pipes,
            None,
            stdin_once=True,
            on_detach=lambda: self._tell("detached"),
        )
        for fd, options in zip(fds, request.attached, strict=True):
            self.streams.attach(fd, options)
        try:
            born = give_birth(
                clone.clone, operations.decode(request.child), context, self.streams.begin
            )
        except StepFailedError as failure:
            self.streams.close()
            self._tell("failed", *failure.args)
            return False
        self._pidfd = born.pidfd
        self._watcher.watch(self._pidfd, READABLE, lambda _: self._ended())
        self._tell("started", born.pid)
        return True

    def kill(self) -> None:
        """The container ends: so does this process, also where nothing else would end it."""
        if self._code is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _ended(self) -> None:
        self._watcher.forget(self._pidfd)
        self._code = exit_code_of(self._pidfd)
        self.deadline = time.monotonic() + DRAIN_S

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and its clients have what it printed or had time to take it."""
        if self.deadline is None:
            return False
        return self.streams.is_drained or time.monotonic() >= self.deadline

    def leave(self) -> None:
        """Tell the daemon its exit code, and let its clients go.

        Processes that it has left behind may hold its pipes: they can write on, to nobody.
        """
        if self._code is None:
            self._ended()
        self._tell("exited", self._code)
        self.streams.let_go()

    def _tell(self, kind: str, *values: object) -> None:
        # A daemon that died does not hear it; nobody else knows of this process.
        with suppress(OSError):
            messages.send(self._daemon, (kind, *values))
