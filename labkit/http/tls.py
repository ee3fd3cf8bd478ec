"""HTTP over TLS: the handshake, and a connection that reads ahead.

TLS hands out bytes by whole records, so nothing can be looked at without being taken: what was read
beyond a head is kept here.  Such a connection cannot be given away.
"""

import socket
import ssl
from typing import TYPE_CHECKING

from labkit.http.connection import TLS_HANDSHAKE, Connection
from labkit.http.errors import ProtocolError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HANDSHAKE_TIME_S = 10.0


class TlsConnection(Connection):
    """A client's connection inside TLS."""

    def __init__(self, client: ssl.SSLSocket, idle_s: float | None = None) -> None:
        super().__init__(client, idle_s)
        self._tls = client
        self._ahead = b""

    def _is_readable(self, seconds: float) -> bool:
        return bool(self._ahead) or self._tls.pending() > 0 or super()._is_readable(seconds)

    def _peek(self, count: int) -> bytes:
        if not self._ahead:
            self._ahead = super()._receive(count)
        return self._ahead[:count]

    def _receive(self, count: int) -> bytes:
        if not self._ahead:
            return super()._receive(count)
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        return taken

    def receive_into(self, buffer: "WriteableBuffer") -> int:
        """Read once into `buffer`; 0 at the end of the stream."""
        if not self._ahead:
            return super().receive_into(buffer)
        view = memoryview(buffer).cast("B")
        taken = self._receive(len(view))
        view[: len(taken)] = taken
        return len(taken)


class _PlainConnection(Connection):
    """A client that does not speak TLS, and is told so in the only words it understands."""

    def read_head(self) -> bytes | None:
        super().read_head()
        raise ProtocolError(400, "Client sent an HTTP request to an HTTPS server: use https://")


def connect(
    client: socket.socket, context: ssl.SSLContext, idle_s: float | None = None
) -> Connection:
    """The connection of a socket that was accepted, after the handshake.

    Raises:
        ConnectionError: the client and the server have no common words.
        TimeoutError: the handshake takes too long.
    """
    client.settimeout(HANDSHAKE_TIME_S)
    first = client.recv(1, socket.MSG_PEEK)
    if first and first != TLS_HANDSHAKE:
        return _PlainConnection(client, idle_s)
    try:
        return TlsConnection(context.wrap_socket(client, server_side=True), idle_s)
    except ssl.SSLError as error:
        raise ConnectionAbortedError(f"no TLS handshake: {error.reason}") from error
