"""The four kinds of answer: whole, from a file, as a stream, or by giving the socket away.

Handlers return one of these and never touch the socket; `labkit.http.server` sends them.
"""

import time
from collections.abc import Callable, Iterable
from typing import BinaryIO, NamedTuple

import msgspec

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
OCTETS = "application/octet-stream"
RAW_STREAM = "application/vnd.docker.raw-stream"

REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
    507: "Insufficient Storage",
}
WITHOUT_BODY = (204, 304)

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Response(NamedTuple):
    """A whole answer with its body."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class FilePart(NamedTuple):
    """A part of an open file, or all of it; the kernel sends it (sendfile(2)), without a copy.

    The server closes the file afterwards.
    """

    status: int
    file: BinaryIO
    offset: int
    length: int
    content_type: str = OCTETS
    headers: tuple[tuple[str, str], ...] = ()


class Stream(NamedTuple):
    """An answer of unknown length: the head is sent at once, each chunk when it is ready.

    An error that `chunks` raises cuts the connection, so that the client learns of it.
    """

    chunks: Iterable[bytes]
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class Hijack(NamedTuple):
    """The end of HTTP on this connection: `take` gets the socket, and sends the head itself.

    `take` gets the number of a file descriptor, which it must duplicate to keep it, and the
    function that sends the head, which it calls before anything else is sent.
    """

    take: Callable[[int, Callable[[], None]], None]
    content_type: str = RAW_STREAM
    protocol: str = "tcp"
    """The protocol of the connection from then on: raw bytes, or HTTP/2 (`h2c`)."""
    head: bytes = b""
    """The head, if `hijack_head` does not make it."""


Answer = Response | FilePart | Stream | Hijack


def json_response(
    value: object, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Return a whole answer with `value` as its JSON body."""
    return Response(status, msgspec.json.encode(value) + b"\n", JSON, headers)


def http_date(seconds: float) -> str:
    """Return a time in the form of RFC 9110 §5.6.7, in English in every locale."""
    now = time.gmtime(seconds)
    return (
        f"{DAYS[now.tm_wday]}, {now.tm_mday:02} {MONTHS[now.tm_mon - 1]} {now.tm_year} "
        f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
    )


def _head(status: int, standing: str, lines: str, *, keep_alive: bool) -> bytes:
    connection = "" if keep_alive else "Connection: close\r\n"
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\n{standing}"
        f"Date: {http_date(time.time())}\r\n{connection}{lines}\r\n"
    ).encode("latin-1")


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


def response_bytes(
    response: Response, standing: str, *, keep_alive: bool, head_only: bool = False
) -> bytes:
    """Return the whole answer in one piece, so that one write sends it.

    `standing` are the header lines of every answer.  With `head_only` (HEAD) the length is
    included, and the body is not.
    """
    lines = _lines(response.headers)
    if response.status not in WITHOUT_BODY:
        lines += (
            f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        )
    head = _head(response.status, standing, lines, keep_alive=keep_alive)
    return head if head_only else head + response.body


def file_head(part: FilePart, standing: str, *, keep_alive: bool) -> bytes:
    """Return the head before a part of a file."""
    lines = f"Content-Type: {part.content_type}\r\nContent-Length: {part.length}\r\n"
    return _head(part.status, standing, _lines(part.headers) + lines, keep_alive=keep_alive)


def stream_head(stream: Stream, standing: str, *, chunked: bool, keep_alive: bool) -> bytes:
    """Return the head of a stream; `chunked` is for clients that speak HTTP/1.1."""
    lines = f"{_lines(stream.headers)}Content-Type: {stream.content_type}\r\n"
    if chunked:
        lines += "Transfer-Encoding: chunked\r\n"
    return _head(200, standing, lines, keep_alive=keep_alive)


def chunk(payload: bytes) -> bytes:
    """Return one chunk of a chunked body (RFC 9112 §7.1).  An empty one would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"


def hijack_head(hijack: Hijack, *, upgrade: bool) -> bytes:
    """Return the head before a raw stream.

    A client that sent `Upgrade: tcp` accepts only 101; another client gets a body without length,
    and always the raw stream's type, as from Docker's engine.
    """
    if hijack.protocol != "tcp":
        return (
            "HTTP/1.1 101 Switching Protocols\r\n"
            f"Connection: Upgrade\r\nUpgrade: {hijack.protocol}\r\n\r\n"
        ).encode("latin-1")
    if upgrade:
        return (
            f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {hijack.content_type}\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        ).encode("latin-1")
    return f"HTTP/1.1 200 OK\r\nContent-Type: {RAW_STREAM}\r\n\r\n".encode("latin-1")
