"""One more process in a running container, started by `exec`.

It enters the namespaces of the container's first process, and gives up the same capabilities.  It
has its own streams and its own client, and no log.
"""

import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, cast

from labkit.kernel import messages
from labkit.runtime import operations
from labkit.runtime.birth import CHECK_S, Birth, StepFailedError, exit_code_of
from labkit.runtime.streams import Attachment, Streams, make_pipes
from labkit.runtime.watcher import READABLE, Watcher

DRAIN_S = 2.0
"""How long output is read after the process has ended: a process it started may hold its pipes
open for ever, and a client may never read."""


class ExecRequest(NamedTuple):
    """The daemon's request: the encoded operations, and the kind of the streams."""

    clone: tuple[object, ...]
    child: list[tuple[object, ...]]
    environment: list[str]
    tty: bool
    open_stdin: bool
    attached: list[Attachment]
    """The clients attached from the start; the request brings their sockets."""
    framed: bool | None = None
    """Whether the clients get output in Docker's frames; None: unless there is a terminal."""


class ExecProcess:
    """A process started by `exec`, and the connection of the daemon that asked for it."""

    def __init__(
        self, daemon: socket.socket, watcher: Watcher, children: set[int], fds: list[int]
    ) -> None:
        self._daemon = daemon
        self._watcher = watcher
        self._children = children
        self._fds = fds
        self._birth: Birth | None = None
        self._pidfd = -1
        self._code: int | None = None
        self._pid = 0
        self.is_over = False
        """Whether it has ended and its clients have its output, or had time to take it."""
        self.deadline: float | None = None
        """When `act` is due, by the monotonic clock; None while there is nothing to do."""

    def start(
        self, request: ExecRequest, first_pidfd: int, container_has_ended: Callable[[], bool]
    ) -> None:
        """Start the process; send the daemon `started` with its pid, or `failed`.

        The container's processes can delay it, so nothing here waits for it.
        """
        self._attached = request.attached
        self._container_has_ended = container_has_ended
        clone = cast("operations.Clone", operations.decode([request.clone])[0])
        pipes = make_pipes(request.open_stdin, request.tty)
        pairs = (word.split("=", 1) for word in request.environment)
        context = operations.Context(pipes.child, dict(pairs), pipes.terminal, first_pidfd)
        self.streams = Streams(
            self._watcher,
            pipes,
            None,
            stdin_once=True,
            framed=request.framed,
            on_detach=lambda: self._tell("detached"),
        )
        child = operations.decode(request.child)
        try:
            self._birth = Birth(clone.clone, child, context, self._children)
        except StepFailedError as failure:
            self._fail(failure)
            return
        self._watcher.watch(self._birth.report_fd, READABLE, lambda _: self._hear())
        self.deadline = time.monotonic() + CHECK_S

    @property
    def is_being_born(self) -> bool:
        """Whether it does not yet run its own program."""
        return self._birth is not None

    def _hear(self) -> None:
        assert self._birth is not None  # noqa: S101 watched only while it is set
        try:
            born = self._birth.hear()
        except StepFailedError as failure:
            self._fail(failure)
            return
        if born is None:
            return
        self._forget_birth()
        self._pid, self._pidfd = born.pid, born.pidfd
        self.streams.begin()
        for fd, options in zip(self._fds, self._attached, strict=True):
            self.streams.attach(fd, options)
        self.streams.take_terminal()
        self._watcher.watch(self._pidfd, READABLE, lambda _: self._ended())
        self._tell("started", born.pid)

    def _forget_birth(self) -> None:
        if self._birth is not None:
            self._watcher.forget(self._birth.report_fd)
            os.close(self._birth.report_fd)
            self._birth = None
        self.deadline = None

    def _fail(self, failure: StepFailedError) -> None:
        """Send the daemon the reason, or close the connection if the container has ended."""
        self._forget_birth()
        self.streams.begin()
        self.streams.close()
        for fd in self._fds:
            os.close(fd)
        if self._container_has_ended():
            with suppress(OSError):
                self._daemon.shutdown(socket.SHUT_RDWR)
        else:
            self._tell("failed", *failure.args)
        self.is_over = True

    def act(self) -> None:
        """Do what is due: check a process that is starting, or leave one that has ended."""
        if self._birth is not None:
            self.deadline = time.monotonic() + CHECK_S
            try:
                self._birth.check()
            except StepFailedError as failure:
                self._fail(failure)
        elif self._code is not None and (
            self.streams.is_drained or time.monotonic() >= (self.deadline or 0)
        ):
            self.leave()

    def kill(self) -> None:
        """Kill the process with its container; without a PID namespace nothing else would."""
        if self._birth is not None:
            self._fail(self._birth.given_up(errno.ESRCH, "the container has ended"))
        elif self._code is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _ended(self) -> None:
        self._watcher.forget(self._pidfd)
        self._code = exit_code_of(self._pidfd)
        self._children.discard(self._pid)
        self.deadline = time.monotonic() + DRAIN_S

    def leave(self) -> None:
        """Send the daemon the exit code, and disconnect the clients.

        Processes that it started may still hold its pipes and write; their output is dropped.
        """
        if self.is_over:
            return
        if self._code is None:
            self._ended()
        self._tell("exited", self._code)
        self.streams.let_go()
        self.is_over = True

    def _tell(self, kind: str, *values: object) -> None:
        # No other program knows of this process, so the message is lost with a daemon that died.
        with suppress(OSError):
            messages.send(self._daemon, (kind, *values))
