"""A small HTTP/1.1 client for a Unix socket (RFC 9112): all that the Docker API needs.

`http.client` would do, but importing it takes longer than making a container's namespaces, and it
cannot return the raw socket after `101 UPGRADED`, by which output is attached.

One `Connection` carries one exchange at a time, and is kept for the next one after the response has
been read to its end.  Bodies are sent whole (`bytes`) or in chunks (any iterable of `bytes`), and
received by length, in chunks, or until the server closes.
"""

import os
import socket

from labkit.errors import DaemonUnavailableError, LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

RECEIVE_BYTES = 64 * 1024
MAXIMUM_HEAD_BYTES = 64 * 1024
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class ProtocolError(LabkitError):
    """The other side breaks the rules of HTTP/1.1."""


def quote(text: str, safe: bytes = b"") -> str:
    """Return `text` with every byte but letters, digits, `-._~` and `safe` as %XX (RFC 3986)."""
    return "".join(
        chr(byte) if byte in _UNRESERVED or byte in safe else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def connect(path: str) -> socket.socket:
    """Return a socket connected to the Unix socket at `path`, however long that path is.

    An address has room for 107 bytes (unix(7)), so the folder is opened and the socket named
    through it.  OSError as from connect(2): ENOENT, ECONNREFUSED, EACCES, ….
    """
    folder, name = os.path.split(path)
    folder_fd = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{folder_fd}/{name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder_fd)
    return connection


class Connection:
    """One connection to the server at a Unix socket's path."""

    def __init__(
        self,
        path: str,
        timeout_s: float | None = None,
        when_idle: "Callable[[Connection], None] | None" = None,
    ) -> None:
        """Connect; OSError as `connect`.

        `timeout_s` limits every single wait for the server (None: no limit).  `when_idle` is called
        with the connection each time a response has been read to its end and another request may
        follow.
        """
        self._path = path
        self._socket = connect(path)
        self._socket.settimeout(timeout_s)
        self._timeout_s = timeout_s
        self._when_idle = when_idle
        self._received = bytearray()
        self._busy = False
        self.reusable = True

    def request(
        self,
        method: str,
        target: str,
        body: "bytes | Iterable[bytes] | None" = None,
        *,
        content_type: str = "application/json",
        headers: "Mapping[str, str] | None" = None,
        upgrade: bool = False,
    ) -> "Response":
        """Send a request and read the head of its response; the body is read from the response.

        `target` is the path with its query, already quoted.  `upgrade` asks the server to turn the
        connection into a raw stream (`Upgrade: tcp`): see `Response.hijack`.
        DaemonUnavailableError if the server ends or is silent for too long; ProtocolError.
        """
        if self._busy:
            raise RuntimeError("the last response of this connection is not read to its end")
        self._busy = True
        lines = [f"{method} {target} HTTP/1.1", "Host: labkit"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if upgrade:
            lines += ["Connection: Upgrade", "Upgrade: tcp"]
        if isinstance(body, bytes):
            lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        elif body is not None:
            lines += [f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
        elif method in ("POST", "PUT"):
            lines.append("Content-Length: 0")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        try:
            self._send(head, body)
        except (BrokenPipeError, ConnectionResetError):
            # The server may have refused a long body in the middle; its answer says why.
            self.reusable = False
        return self._read_head(method)

    def _send(self, head: bytes, body: "bytes | Iterable[bytes] | None") -> None:
        if body is None or isinstance(body, bytes):
            self._socket.sendall(head + (body or b""))
            return
        self._socket.sendall(head)
        for part in body:
            if part:
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        self._socket.sendall(b"0\r\n\r\n")

    def _read_head(self, method: str) -> "Response":
        while True:
            status_line = self.read_line()
            version, _, rest = status_line.partition(" ")
            code, _, reason = rest.partition(" ")
            if version not in ("HTTP/1.1", "HTTP/1.0") or not (len(code) == 3 and code.isdigit()):
                raise ProtocolError(
                    f"{self._path}: this is not an HTTP response: {status_line[:80]!r}"
                )
            headers: dict[str, str] = {}
            while line := self.read_line():
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            status = int(code)
            if 100 <= status < 200 and status != 101:
                continue  # "100 Continue" and its like precede another head
            if version == "HTTP/1.0" or headers.get("connection", "").lower() == "close":
                self.reusable = False
            return Response(self, method, status, reason, headers)

    # Functions for the response

    def read_line(self) -> str:
        """Return the next line, without its end."""
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > MAXIMUM_HEAD_BYTES:
                raise ProtocolError(f"{self._path}: the response has a line without an end")
            if not self._receive():
                raise self.torn()
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line.rstrip(b"\r").decode("latin-1")

    def read_some(self, maximum_bytes: int = RECEIVE_BYTES) -> bytes:
        """Return at least one byte, as soon as there is any; empty at the end of the stream."""
        if not self._received and not self._receive():
            return b""
        part = bytes(self._received[:maximum_bytes])
        del self._received[:maximum_bytes]
        return part

    def _receive(self) -> bool:
        try:
            part = self._socket.recv(RECEIVE_BYTES)
        except ConnectionResetError:
            return False
        except TimeoutError as error:
            message = f"labkitd on {self._path} did not answer within {self._timeout_s:g} s"
            raise DaemonUnavailableError(message) from error
        self._received += part
        return bool(part)

    def torn(self) -> DaemonUnavailableError:
        """Return the error for a connection that ends before the response does."""
        return DaemonUnavailableError(f"labkitd on {self._path} ended in the middle of its answer")

    def finished(self) -> None:
        """Note that the response has been read to its end: another request may follow."""
        self._busy = False
        if self.reusable and self._when_idle:
            self._when_idle(self)

    def is_idle(self) -> bool:
        """Whether a request can be sent: no response is open, and the server has not closed."""
        if self._busy or not self.reusable or self._received:
            return False
        # With a time-out the interpreter would wait for it before the call, whatever the flags.
        self._socket.settimeout(None)
        try:
            self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._socket.settimeout(self._timeout_s)
        return False

    @property
    def has_received(self) -> bool:
        """Whether unread data has been received, which poll(2) does not know of.

        The end of the last chunk, CR LF, may be there, and does not count.
        """
        return len(self._received) > 2

    def detach(self) -> tuple[socket.socket, bytes]:
        """Return the raw socket, and data already received from it; the connection is used up."""
        received = bytes(self._received)
        self._received.clear()
        self.reusable = False
        return self._socket, received

    def fileno(self) -> int:
        """The socket's descriptor, for poll(2)."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close it, even before the end of a response."""
        self.reusable = False
        self._socket.close()


class Response:
    """A response whose head has been read.  `headers` has lower-case names."""

    def __init__(
        self, connection: Connection, method: str, status: int, reason: str, headers: dict[str, str]
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self._connection = connection
        self._length: int | None = None
        self._chunked = False
        self._is_over = False
        if method == "HEAD" or status in (101, 204, 304):
            self._length = 0
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._chunked = True
        elif "content-length" in headers:
            self._length = _length(headers["content-length"])
        else:
            connection.reusable = False  # the body ends with the connection
        if self._length == 0 and status != 101:
            self._finish()
        self._body = self._pieces()

    def __iter__(self) -> "Iterator[bytes]":
        """Yield the body, in pieces, each as soon as it arrives; iterating consumes it."""
        return self._body

    def _pieces(self) -> "Iterator[bytes]":
        yield from self._chunks() if self._chunked else self._plain()
        self._finish()

    def _finish(self) -> None:
        """Give the connection back for the next request: the body has been read."""
        if not self._is_over:
            self._is_over = True
            self._connection.finished()

    def _plain(self) -> "Iterator[bytes]":
        while self._length is None or self._length > 0:
            wanted = RECEIVE_BYTES if self._length is None else min(self._length, RECEIVE_BYTES)
            part = self._connection.read_some(wanted)
            if not part:
                if self._length is None:
                    return
                raise self._connection.torn()
            if self._length is not None:
                self._length -= len(part)
            yield part

    def _chunks(self) -> "Iterator[bytes]":
        # RFC 9112, 7.1: hexadecimal size [; extension], the bytes, an empty line; the last size 0.
        while size := _length(self._connection.read_line().partition(";")[0].strip(), 16):
            while size:
                part = self._connection.read_some(min(size, RECEIVE_BYTES))
                if not part:
                    raise self._connection.torn()
                size -= len(part)
                yield part
            self._connection.read_line()
        while self._connection.read_line():
            pass  # trailers

    def read(self) -> bytes:
        """Return the rest of the body."""
        return b"".join(self._body)

    def hijack(self) -> tuple[socket.socket, bytes]:
        """After `101 UPGRADED` (or 200 without a length): return the raw socket, and bytes read.

        The caller owns the socket and closes it.
        """
        return self._connection.detach()

    def fileno(self) -> int:
        """The socket's descriptor, for poll(2): readable when more arrives, or at the end."""
        return self._connection.fileno()

    @property
    def has_received(self) -> bool:
        """Whether more of the body has been received, which poll(2) does not know of."""
        return self._connection.has_received

    def close(self) -> None:
        """Stop reading; this also closes the connection if the body is incomplete."""
        if not self._is_over:
            self._connection.close()


def _length(text: str, base: int = 10) -> int:
    try:
        length = int(text, base)
    except ValueError:
        length = -1
    if length < 0:
        raise ProtocolError(f"the server sent an invalid length: {text[:40]!r}")
    return length
