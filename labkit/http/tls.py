"""HTTP over TLS: the handshake, and a connection that reads ahead.

TLS hands out bytes by whole records, so nothing can be looked at without being taken: bytes that
were read beyond a head are kept here.  Such a connection is given away by a thread that passes
everything on.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.http.connection import TLS_HANDSHAKE, Connection
from labkit.http.errors import ProtocolError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HANDSHAKE_TIME_S = 10.0
PIECE_BYTES = 64 * 1024


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

    @contextlib.contextmanager
    def given_away(self) -> Iterator[int]:
        """One end of a pair of sockets: what comes to the other is passed on inside TLS.

        Returns from the block when both sides have ended.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                yield theirs.fileno()
            self._tls.setblocking(False)
            ours.setblocking(False)
            with contextlib.suppress(OSError):
                _Passage(self._tls, ours, self._ahead).carry()


class _Passage:
    """The bytes in both directions between a client of TLS and a plain socket.

    One thread moves them: two threads must not use one `SSLSocket`.
    """

    def __init__(self, tls: ssl.SSLSocket, plain: socket.socket, ahead: bytes) -> None:
        self._tls, self._plain = tls, plain
        self._to_plain, self._to_tls = bytearray(ahead), bytearray()
        self._tls_reads, self._plain_reads = True, True
        """Whether more may come from there."""

    def carry(self) -> None:
        """Pass everything on until the plain side has ended; OSError if the client goes away."""
        while self._plain_reads or self._to_tls:
            self._wait()
            self._read()
            self._write()

    def _wait(self) -> None:
        if self._tls.pending() and not self._to_plain:
            return
        poll = select.poll()
        wanted = select.POLLIN if self._tls_reads and not self._to_plain else 0
        poll.register(self._tls, wanted | (select.POLLOUT if self._to_tls else 0))
        wanted = select.POLLIN if self._plain_reads and not self._to_tls else 0
        poll.register(self._plain, wanted | (select.POLLOUT if self._to_plain else 0))
        poll.poll()

    def _read(self) -> None:
        if self._tls_reads and not self._to_plain:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                data = self._tls.recv(PIECE_BYTES)
                self._to_plain += data
                if not data:  # the output of the other side is still wanted
                    self._tls_reads = False
                    self._plain.shutdown(socket.SHUT_WR)
        if self._plain_reads and not self._to_tls:
            with contextlib.suppress(BlockingIOError):
                data = self._plain.recv(PIECE_BYTES)
                self._to_tls += data
                self._plain_reads = bool(data)

    def _write(self) -> None:
        if self._to_plain:
            with contextlib.suppress(BlockingIOError):
                del self._to_plain[: self._plain.send(self._to_plain)]
        if self._to_tls:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                del self._to_tls[: self._tls.send(self._to_tls)]


class _PlainConnection(Connection):
    """A client that does not speak TLS, and gets a plain answer that says so."""

    def read_head(self) -> bytes | None:
        super().read_head()
        raise ProtocolError(400, "Client sent an HTTP request to an HTTPS server: use https://")


def connect(
    client: socket.socket, context: ssl.SSLContext, idle_s: float | None = None
) -> Connection:
    """Return the connection of an accepted socket, after the handshake.

    Raises:
        ConnectionError: client and server have no common protocol.
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
