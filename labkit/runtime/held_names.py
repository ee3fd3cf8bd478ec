"""The sockets on which labkit answers a container's queries for names; the shim holds them.

The container's first process binds them in its network namespace, before it becomes the container's
program, and sends them to the shim.  The running daemon gets copies.
"""

import os
import socket
from typing import TYPE_CHECKING

from labkit.kernel import messages
from labkit.runtime.operations.network import ListenForNames

if TYPE_CHECKING:
    from labkit.runtime.operations import Context, Operation


class HeldNames:
    """The sockets held: first none, then `fds`, UDP and TCP."""

    def __init__(self) -> None:
        self.fds: list[int] = []
        self._receiver: socket.socket | None = None

    def expect(self, context: "Context", child: "list[Operation]") -> None:
        """Give the process to be cloned a socket to send them on, if its plan binds them."""
        if any(isinstance(operation, ListenForNames) for operation in child):
            self._receiver, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            context.names_socket = theirs.detach()

    def take(self, context: "Context") -> None:
        """Receive the sockets, which the process has sent before it runs its program."""
        if self._receiver is None:
            return
        os.close(context.names_socket)
        with self._receiver:
            if (message := messages.receive(self._receiver)) is not None:
                self.hold(message[1])

    def hold(self, fds: list[int]) -> None:
        """Hold these sockets instead of the present ones; none at the container's end."""
        for fd in self.fds:
            os.close(fd)
        self.fds = fds
