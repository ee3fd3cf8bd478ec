"""`labkit system dial-stdio`: the daemon's socket as stdin and stdout.

Docker's command runs this at the other end of `ssh://`: a `docker context` of one machine drives
the engine of another through the port of ssh alone.
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
    """Connect the daemon with stdin and stdout; return when either side has closed."""
    context.api()  # starts the daemon if it does not run
    from labkit.client.http import connect  # noqa: PLC0415 this verb alone needs it bare

    with connect(context.paths.socket) as daemon:
        carry(daemon)
    return 0


def carry(daemon: socket.socket) -> None:
    """Pass on the bytes of both sides until the daemon has closed."""
    poll = select.poll()
    poll.register(daemon, select.POLLIN)
    poll.register(STDIN, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if STDIN in ready:
            data = os.read(STDIN, PIECE_BYTES)
            with contextlib.suppress(OSError):  # it reads no more; its answer is still passed on
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
