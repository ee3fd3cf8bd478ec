"""One client's connection: bytes in and out, deadlines, and no byte read beyond the request.

After a request for `attach` the container's standard input follows on the same socket, and that
socket is then given to another process.  A byte in a buffer here would be lost to the container.
So this class has no buffer: it peeks at a head with MSG_PEEK and then takes it up to its blank
line, a chunk's size line up to its end, a body up to its length.  Later bytes of a client stay in
the kernel's queue, where the next reader, in whatever process, finds them.
"""

import array
import contextlib
import fcntl
import io
import re
import select
import socket
import termios
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from labkit.http.errors import ProtocolError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD_LIMIT_BYTES = 256 * 1024
"""`docker save` names each image here, and a build sends the passwords of all registries."""
HEAD_TIME_S = 10.0
"""The longest time for a request's head from its first byte to its last."""
PEEK_BYTES = 8 * 1024
CHUNK_LINE_LIMIT_BYTES = 256
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?")
"""Strict, without a lone CR or LF in it: a proxy before this server may end its line there."""
TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
TRAILER_LIMIT_LINES = 32
SEND_TIME_S = 30.0
"""The longest time in which a client may read a whole answer; streams have no limit."""
LINGER_TIME_S = 2.0
SHORT_BODY_BYTES = 64 * 1024
READING_TIME_S = 0.5
READING_LOOK_S = 0.0002

TLS_HANDSHAKE = b"\x16"
"""The first byte that a client of TLS sends (RFC 8446 §5.1)."""
POLLRDHUP = 0x2000
"""poll(2); Python has no name for it."""
CRLF = b"\r\n"
BLANK_LINE = b"\r\n\r\n"


@contextlib.contextmanager
def _client_errors() -> Iterator[None]:
    """Turn a client that is too slow, or disconnects while it sends, into the request's error."""
    try:
        yield
    except TimeoutError:
        raise ProtocolError(408, "The request took too long to arrive") from None
    except ConnectionError:
        raise ProtocolError(400, "The client disconnected in the middle of its request") from None


class Connection:
    """A client's socket, read exactly to the end of the present request."""

    def __init__(self, client: socket.socket, idle_s: float | None = None) -> None:
        """`idle_s` is how long a client may be idle between requests; None: for ever."""
        self._socket = client
        self._deadline: float | None = None
        self._pause_s: float | None = None
        self._idle_s = idle_s

    def fileno(self) -> int:
        """The socket's descriptor, for the process that takes the connection over."""
        return self._socket.fileno()

    @contextlib.contextmanager
    def given_away(self) -> Iterator[int]:
        """The descriptor of a socket to the client, to pass the connection on."""
        yield self.fileno()

    def set_deadline(self, seconds: float | None) -> None:
        """From now on reading fails with a 408 after so many seconds in all; None: never."""
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._pause_s = None
        if seconds is None:
            self._socket.settimeout(None)

    def allow_pauses(self, seconds: float) -> None:
        """From now on reading fails with a 408 if no byte arrives for so long."""
        self._deadline = None
        self._pause_s = seconds

    def _arm(self) -> None:
        left = self._pause_s
        if self._deadline is not None:
            left = max(self._deadline - time.monotonic(), 0.001)
        if left != self._socket.gettimeout():
            self._socket.settimeout(left)

    def read_head(self) -> bytes | None:
        """Return a request's head with its blank line; None if the client closed before it.

        The first byte may take as long as a connection may be idle; the rest may not.
        """
        self.set_deadline(None)
        if self._idle_s is not None and not self._is_readable(self._idle_s):
            return None
        head = self._read_until(BLANK_LINE, HEAD_LIMIT_BYTES, "head", HEAD_TIME_S)
        self.set_deadline(None)
        return head or None

    def read_line(self, limit_bytes: int) -> bytes:
        """Return a line without its CRLF."""
        line = self._read_until(CRLF, limit_bytes, "chunk size")
        if not line:
            raise ProtocolError(400, "The request's body ended early")
        return line[: -len(CRLF)]

    def _read_until(
        self, end: bytes, limit_bytes: int, what: str, seconds: float | None = None
    ) -> bytes:
        """Return everything up to and with `end`, not a byte more; b"" at the end of the stream.

        `seconds` is the longest time from the first byte on.
        """
        taken = bytearray()
        while True:
            seen = self._peek(PEEK_BYTES)
            if not seen:
                if taken:
                    raise ProtocolError(400, f"The request ended in the middle of its {what}")
                return b""
            if not taken and seen[:1] == TLS_HANDSHAKE:
                # Answer at once: clients try TLS first, and wait to see that this is plain HTTP.
                raise ProtocolError(
                    400, "Client sent a TLS handshake to an HTTP server: use http://"
                )
            searched_from = max(len(taken) - len(end) + 1, 0)
            before = len(taken)
            taken += seen
            found = taken.find(end, searched_from)
            if found >= 0:
                del taken[found + len(end) :]
            self._receive(len(taken) - before)
            if len(taken) > limit_bytes:
                raise ProtocolError(431, f"The request's {what} is over {limit_bytes} bytes")
            if found >= 0:
                return bytes(taken)
            if b"\n\n" in taken:
                raise ProtocolError(400, "Malformed request: lines must end with CR LF")
            if seconds is not None and self._deadline is None:
                self.set_deadline(seconds)

    def _is_readable(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(round(seconds * 1000)))

    def _peek(self, count: int) -> bytes:
        self._arm()
        with _client_errors():
            return self._socket.recv(count, socket.MSG_PEEK)

    def _receive(self, count: int) -> bytes:
        self._arm()
        with _client_errors():
            return self._socket.recv(count)

    def receive_into(self, buffer: "WriteableBuffer") -> int:
        """Read once into `buffer`; 0 at the end of the stream."""
        self._arm()
        with _client_errors():
            return self._socket.recv_into(buffer)

    def ask_for_body(self) -> None:
        """Send `100 Continue` to a client that waits for it (RFC 9110 §10.1.1)."""
        with _client_errors():
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send(self, data: bytes, seconds: float | None = SEND_TIME_S) -> None:
        """Send all of `data`, in `seconds` at most.

        Raises:
            ConnectionError: the client has disconnected.
            TimeoutError: it does not read.
        """
        self._socket.settimeout(seconds)
        self._socket.sendall(data)

    def send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """Send `count` bytes of `file` from `offset` on; a client may pause for `SEND_TIME_S`.

        Raises:
            ConnectionError: the client has disconnected.
            TimeoutError: it does not read.
        """
        self._socket.settimeout(SEND_TIME_S)
        if count:
            self._socket.sendfile(file, offset, count)

    def wait_until_read(self) -> None:
        """Wait a moment until the client has taken all that was sent (unix(7), SIOCOUTQ).

        docker-py loses data that follows a head so quickly that both are read at once.
        """
        deadline = time.monotonic() + READING_TIME_S
        waiting = array.array("i", [0])
        while time.monotonic() < deadline:
            fcntl.ioctl(self._socket, termios.TIOCOUTQ, waiting)
            if not waiting[0]:
                return
            time.sleep(READING_LOOK_S)

    def abort(self) -> None:
        """Cut the connection, even while another thread waits to send on it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def client_is_gone(self) -> bool:
        """Whether the client closed its end.

        Linux reports POLLHUP on a Unix socket only when the other end is closed in both directions;
        a client that shut down its writing half still wants its answer (unix(7), poll(2)).  On TCP
        a closed client looks like that until the server sends to it: its half counts as its end.
        """
        poll = select.poll()
        poll.register(self._socket, 0 if self._socket.family == socket.AF_UNIX else POLLRDHUP)
        return bool(poll.poll(0))

    def linger(self) -> None:
        """Tell the client that nothing follows, and drop what it still sends, for a moment.

        Closing with unread bytes would reset the connection, and a client that is still sending
        would see the reset instead of the answer.
        """
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self.set_deadline(LINGER_TIME_S)
            while self._receive(PEEK_BYTES):
                pass
        except (OSError, ProtocolError):
            return

    def close(self) -> None:
        """Close this process's copy, without a shutdown: another process may have another copy."""
        self._socket.close()


class Body(io.RawIOBase):
    """A request's body as a file, sent with a length or in chunks (RFC 9112 §6, §7)."""

    def __init__(self, connection: Connection, length: int, *, chunked: bool, ask: bool) -> None:
        self._connection = connection
        self._left = length
        self._more_chunks = chunked
        self._chunked = chunked
        self._ask = ask
        self.received_bytes = 0

    @property
    def is_read(self) -> bool:
        """Whether the next byte of the connection begins the next request."""
        return self._left == 0 and not self._more_chunks

    @property
    def is_short(self) -> bool:
        """Whether the rest of it is read, or soon can be: then the connection is used again."""
        return self.is_read or not (self._chunked or self._ask or self._left > SHORT_BODY_BYTES)

    def drop(self) -> bool:
        """Read the rest of a short body that no handler needed; whether it all arrived."""
        self._connection.set_deadline(LINGER_TIME_S)
        try:
            while self.read(SHORT_BODY_BYTES):
                pass
        except ProtocolError:
            return False
        return self.is_read

    def readable(self) -> bool:
        """Return True."""
        return True

    def ask(self) -> None:
        """Have the client send the body, if it waits to be asked (`Expect: 100-continue`)."""
        if self._ask:
            self._ask = False
            self._connection.ask_for_body()

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` with data that has arrived; 0 at the body's end."""
        self.ask()
        if self._left == 0 and self._more_chunks:
            self._start_chunk()
        if self._left == 0:
            return 0
        count = self._connection.receive_into(memoryview(buffer)[: self._left])
        if count == 0:
            raise ProtocolError(400, "The request's body ended early")
        self._left -= count
        self.received_bytes += count
        if self._left == 0 and self._chunked:
            self._end_chunk()
        return count

    def _start_chunk(self) -> None:
        line = self._connection.read_line(CHUNK_LINE_LIMIT_BYTES)
        match = CHUNK_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError(400, "Malformed chunked body: a chunk's size is not a number")
        self._left = int(match[1], 16)
        if self._left == 0:
            self._skip_trailers()
            self._more_chunks = False

    def _end_chunk(self) -> None:
        if self._connection.read_line(CHUNK_LINE_LIMIT_BYTES):
            raise ProtocolError(400, "Malformed chunked body: a chunk is longer than its size")

    def _skip_trailers(self) -> None:
        for _ in range(TRAILER_LIMIT_LINES):
            line = self._connection.read_line(CHUNK_LINE_LIMIT_BYTES)
            if not line:
                return
            if not TRAILER.fullmatch(line):
                raise ProtocolError(400, "Malformed chunked body: a trailer is Name: value")
        raise ProtocolError(431, "Malformed chunked body: too many trailers")
