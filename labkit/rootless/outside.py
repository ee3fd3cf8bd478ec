"""What labkitd itself opens to the outside (registries, ADD of an URL) it opens on the machine.

It has a network of its own, which leads out by the cable only, and never to the machine's
127.0.0.1.  The holder is in the machine's network: it connects, and hands over the socket.  So a
registry on this machine, its name servers and its VPN are labkitd's, too.  Containers have none of
this.
"""

import socket
from typing import Any, cast

from labkit.kernel import messages
from labkit.paths import HOLDER_SOCKET

_PATIENCE_S = 5.0
"""How much longer than asked the holder may take."""
_KINDS: dict[str, type[OSError]] = {"gaierror": socket.gaierror, "TimeoutError": TimeoutError}


def lead_through_holder(run: str) -> None:
    """Have every HTTP client of this process connect by way of the holder.

    http.client and httpcore both call this one function of the standard library.
    """

    def create_connection(
        address: tuple[str, int], timeout: float | object | None = None, *_: object, **__: object
    ) -> socket.socket:
        # Without a timeout a caller may give a mark of the standard library's own.
        seconds = float(timeout) if isinstance(timeout, int | float) else None
        return connect(f"{run}/{HOLDER_SOCKET}", *address, seconds)

    socket.create_connection = cast("Any", create_connection)


def connect(holder: str, host: str, port: int, timeout_s: float | None) -> socket.socket:
    """A TCP connection made in the machine's network; OSError as socket.create_connection."""
    with messages.connect(holder) as connection:
        connection.settimeout(None if timeout_s is None else timeout_s + _PATIENCE_S)
        messages.send(connection, ("connect", host, port, timeout_s))
        message = messages.receive(connection)
    if message is None:
        raise ConnectionError("the process labkit-holder has ended")
    (kind, *words), fds = cast("tuple[list[Any], list[int]]", message)
    if kind != "connected":
        raise _KINDS.get(words[0], OSError)(*words[1])
    made = socket.socket(fileno=fds[0])
    made.settimeout(timeout_s)
    return made
