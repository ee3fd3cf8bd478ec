"""`RUN --mount=type=ssh`: a socket in the container that leads to the SSH agent of the client.

The keys stay with the client: a connection to the socket is carried to it, and only answers come
back.  The socket is there while the command runs.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Protocol


class Agents(Protocol):
    """The agents of a build's client."""

    def check(self, name: str) -> bool:
        """Whether the client has an agent of this name."""

    def carry(self, name: str, connection: socket.socket) -> None:
        """Carry one connection to an agent, to its end."""


class NoAgents:
    """A client that has none, or that cannot be asked."""

    def check(self, name: str) -> bool:
        """It has none."""
        return False

    def carry(self, name: str, connection: socket.socket) -> None:
        """Nothing to carry to."""


@contextlib.contextmanager
def listening(agents: Agents, name: str, path: str) -> Iterator[None]:
    """Have a socket at a path that leads to an agent, for the time of the block."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        open_ones: set[socket.socket] = set()
        thread = threading.Thread(
            target=_accept, args=(agents, name, listener, open_ones), name="ssh agent", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            # A command that left a connection open does not keep it.
            for each in (listener, *open_ones):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            thread.join()
            os.unlink(path)


def _accept(
    agents: Agents, name: str, listener: socket.socket, open_ones: set[socket.socket]
) -> None:
    def carry(connection: socket.socket) -> None:
        with connection:
            agents.carry(name, connection)
        open_ones.discard(connection)

    with contextlib.suppress(OSError):  # the block has ended
        while True:
            connection, _ = listener.accept()
            open_ones.add(connection)
            threading.Thread(target=carry, args=(connection,), daemon=True).start()
