"""labkitd's own connections to the outside (registries, ADD of an URL), made on the machine.

labkitd has a separate network, which leads outside only through the cable, and never to the
machine's 127.0.0.1.  The holder is in the machine's network: it connects, and passes the socket to
labkitd.  So labkitd can use a registry on this machine, its name servers and its VPN.  Containers
cannot.
"""

import socket
from typing import Any, cast

from labkit.kernel import messages
from labkit.paths import HOLDER_SOCKET

_PATIENCE_S = 5.0
"""How much longer than asked labkitd waits for the holder."""
_KINDS: dict[str, type[OSError]] = {"gaierror": socket.gaierror, "TimeoutError": TimeoutError}


def lead_through_holder(run: str) -> None:
    """Let every HTTP client of this process connect through the holder.

    http.client and httpcore both call this one function of the standard library.
    """

    def create_connection(
        address: tuple[str, int], timeout: float | object | None = None, *_: object, **__: object
    ) -> socket.socket:
        # Without a timeout a caller may pass a marker object of the standard library.
        seconds = float(timeout) if isinstance(timeout, int | float) else None
        return connect(f"{run}/{HOLDER_SOCKET}", *address, seconds)

    socket.create_connection = cast("Any", create_connection)


def connect(holder: str, host: str, port: int, timeout_s: float | None) -> socket.socket:
    """Make a TCP connection in the machine's network; OSError as of socket.create_connection."""
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
