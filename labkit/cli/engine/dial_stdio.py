"""`labkit system dial-stdio`: the daemon's socket as stdin and stdout.

What Docker's command runs at the other end of `ssh://`: so a `docker context` of one machine drives
the engine of another, with no port open but ssh's.
"""

import contextlib
import os
import select
import socket

from labkit.cli.base.command import Command, Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command("", at_most=0)
PIECE_BYTES = 64 * 1024
STDIN, STDOUT = 0, 1


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Return when the daemon closes the connection, or when stdout is closed."""
    context.api()  # starts the daemon if it does not run
    from labkit.client.http import connect  # noqa: PLC0415 this verb alone needs it bare

    with connect(context.paths.socket) as daemon:
        carry(daemon)
    return 0


def carry(daemon: socket.socket) -> None:
    """Pass on what comes from either side, until the daemon's has ended."""
    poll = select.poll()
    poll.register(daemon, select.POLLIN)
    poll.register(STDIN, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if STDIN in ready:
            data = os.read(STDIN, PIECE_BYTES)
            with contextlib.suppress(OSError):  # it takes no more; its answer is still passed on
                daemon.sendall(data)
                if not data:
                    daemon.shutdown(socket.SHUT_WR)
            if not data:
                poll.unregister(STDIN)
        if daemon.fileno() in ready:
            data = daemon.recv(PIECE_BYTES)
            if not data:
                return
            while data:
                data = data[os.write(STDOUT, data) :]
