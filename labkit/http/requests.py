"""A request: its head parsed strictly, its query by type, its body within limits.

The grammar is RFC 9112's, without parts that no client uses: folded header lines, and transfer
codings other than chunked.  All of that is refused, never guessed at.
"""

import io
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

import msgspec

from labkit.dialect.numbers import whole
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.http.connection import Body, Connection
from labkit.http.errors import ProtocolError
from labkit.http.responses import JSON

HEADER_LIMIT_LINES = 10_000
QUERY_LIMIT_FIELDS = 10_000
JSON_LIMIT_BYTES = 8 * 1024 * 1024
JSON_LIMIT_DEPTH = 64
JSON_TIME_S = 30.0

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TARGET = re.compile(r"(?:https?://[!-.0-~]+)?(/[!-~\x80-\xff]*)", re.IGNORECASE)
"""A path, or an absolute URL, whose host does not matter (RFC 9112 §3.2)."""
VALUE = re.compile(r"[\t -~\x80-\xff]*")
SECONDS = re.compile(r"-?\d{1,15}(\.\d{0,9})?", re.ASCII)
SHOWN_CHARACTERS = 60
PROTOCOLS = ("HTTP/1.1", "HTTP/1.0")
FALSE_WORDS = ("", "0", "no", "false", "none")


class Query:
    """The part of a request's target after the question mark, read by the API's types."""

    def __init__(self, text: str) -> None:
        try:
            fields = parse_qsl(text, keep_blank_values=True, max_num_fields=QUERY_LIMIT_FIELDS)
        except ValueError as error:
            raise InvalidParameterError(f"The query string cannot be read: {error}") from None
        if any("\0" in word for field in fields for word in field):
            raise InvalidParameterError("The query string holds a NUL character")
        self._fields = dict(reversed(fields))  # the first of repeated ones counts, as in Go
        self._all = fields

    def text(self, name: str, default: str = "") -> str:
        """Return the parameter's text, or `default` if it was not given."""
        return self._fields.get(name, default)

    def texts(self, name: str) -> list[str]:
        """Return every value of a parameter that may be repeated."""
        return [value for key, value in self._all if key == name]

    def flag(self, name: str) -> bool:
        """Return a truth value: False if missing, empty, 0, no, false or none."""
        return self.text(name).strip().lower() not in FALSE_WORDS

    def integer(self, name: str) -> int | None:
        """Return a whole number; None if the parameter is missing or empty."""
        value = self.text(name)
        if not value:
            return None
        number = whole(value)
        if number is None:
            raise InvalidParameterError(f"{name}={_shown(value)} is not a whole number of 64 bits")
        return number

    def timestamp_s(self, name: str) -> float:
        """Return a time in seconds since 1970, perhaps with a fraction; 0 if it is missing."""
        value = self.text(name)
        if not value:
            return 0.0
        if not SECONDS.fullmatch(value):
            raise InvalidParameterError(
                f"{name}={_shown(value)} is not a time in seconds since 1970"
            )
        return float(value)


def _shown(value: str) -> str:
    """Return a value shortened for a message."""
    return value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}…"


class Request:
    """One request; its body is still on the connection.

    `target` is the request line's target, `path` its part before the question mark,
    percent-decoded.  `headers` have names in lower case, repeated ones joined by commas.
    `speaks_chunked` says whether the client understands chunked answers, as HTTP/1.1 does.
    """

    def __init__(
        self,
        method: str,
        target: str,
        path: str,
        *,
        query: Query,
        headers: Mapping[str, str],
        body: Body,
        connection: Connection,
        speaks_chunked: bool,
        keep_alive: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.connection = connection
        self.speaks_chunked = speaks_chunked
        self.keep_alive = keep_alive

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asked to leave HTTP with `Upgrade: tcp`."""
        return self.upgrade == "tcp"

    @property
    def upgrade(self) -> str:
        """The protocol that the client asked to continue with, in lower case; empty for HTTP."""
        return self.headers.get("upgrade", "").lower()

    def json(self) -> dict[str, object]:
        """Return the body as a JSON object; {} if there is none.

        Raises:
            InvalidParameterError: it is not a JSON object.
            ProtocolError: it is too large or too slow.
        """
        content_type = self.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        content = self.body_bytes()
        if not content.strip():
            return {}
        if content_type != JSON:
            raise InvalidParameterError(
                f"Content-Type specified ({content_type}) must be 'application/json'"
            )
        value = decode_json(content, "The request's body")
        if value is None:  # Go's clients send null for no body
            return {}
        if not isinstance(value, dict):
            raise InvalidParameterError("The request's body is JSON, but not an object")
        return value

    def body_bytes(self) -> bytes:
        """Return the whole body, at most 8 MiB."""
        self.connection.set_deadline(JSON_TIME_S)
        content = bytearray()
        while part := self.body.read(64 * 1024):
            content += part
            if len(content) > JSON_LIMIT_BYTES:
                raise ProtocolError(413, f"The request's body is over {JSON_LIMIT_BYTES} bytes")
        self.connection.set_deadline(None)
        return bytes(content)

    def body_file(self) -> io.BufferedReader:
        """Return the body as a file of any size; a client may be slow."""
        self.connection.set_deadline(None)
        return io.BufferedReader(self.body, 64 * 1024)


def decode_json(content: bytes, name: str) -> object:
    """Decode JSON from a client; `name` names it in messages.

    InvalidParameterError, also for content that no field can hold: deep nesting, which would end in
    Python's recursion limit, and NUL characters, which end the C library's strings.
    """
    try:
        value = msgspec.json.decode(content)
    except UNREADABLE as error:
        raise InvalidParameterError(f"{name} is not JSON: {error}") from None
    has_nul = b"\\u0000" in content
    level = [value]
    for _ in range(JSON_LIMIT_DEPTH):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += each
                inner += each.values()
            elif isinstance(each, list):
                inner += each
            elif has_nul and isinstance(each, str) and "\0" in each:
                raise InvalidParameterError(f"{name} holds a NUL character")
        if not inner:
            return value
        level = inner
    raise InvalidParameterError(f"{name} is nested more than {JSON_LIMIT_DEPTH} levels deep")


def parse(head: bytes, connection: Connection) -> Request:
    """Parse a request's head.

    Raises:
        ProtocolError: it breaks a rule of HTTP; then the connection cannot be used any more.
    """
    request_line, *header_lines = head.decode("latin-1")[: -len("\r\n\r\n")].split("\r\n")
    method, target, protocol = _request_line(request_line)
    headers = _headers(header_lines)
    path, _, query = target.partition("?")
    connection_words = headers.get("connection", "").lower()
    speaks_chunked = protocol == "HTTP/1.1"
    return Request(
        method,
        target,
        unquote(path),
        query=Query(query),
        headers=headers,
        body=_body(headers, connection),
        connection=connection,
        speaks_chunked=speaks_chunked,
        keep_alive=speaks_chunked and "close" not in connection_words,
    )


def _request_line(line: str) -> tuple[str, str, str]:
    words = line.split(" ")
    if len(words) != 3 or not TOKEN.fullmatch(words[0]) or not words[2].startswith("HTTP/"):
        raise ProtocolError(400, "Malformed request line: METHOD TARGET HTTP/1.1 was expected")
    if words[2] not in PROTOCOLS:
        raise ProtocolError(505, f"This server speaks HTTP/1.1, not {words[2]}")
    target = TARGET.fullmatch(words[1])
    if not target:
        raise ProtocolError(400, "Malformed request target: a path was expected")
    # Some clients do not percent-encode letters beyond ASCII.
    return words[0], target[1].encode("latin-1").decode(errors="replace"), words[2]


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > HEADER_LIMIT_LINES:
        raise ProtocolError(431, f"The request has over {HEADER_LIMIT_LINES} header lines")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise ProtocolError(400, "Malformed header line: Name: value was expected")
        key, value = name.lower(), value.strip(" \t")
        if key == "host" and key in headers:
            raise ProtocolError(400, "A request names one Host, and this one names two")
        if key == "content-length" and headers.get(key) == value:
            continue
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _body(headers: Mapping[str, str], connection: Connection) -> Body:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    expected = headers.get("expect")
    if expected is not None and expected.lower() != "100-continue":
        raise ProtocolError(417, f"This server cannot meet Expect: {expected}")
    ask = expected is not None
    if coding is not None:
        if coding.lower() != "chunked":
            raise ProtocolError(501, f"This server does not know Transfer-Encoding: {coding}")
        if length is not None:
            raise ProtocolError(400, "A request has Content-Length or Transfer-Encoding, not both")
        return Body(connection, 0, chunked=True, ask=ask)
    if length is None:
        return Body(connection, 0, chunked=False, ask=False)
    if not length.isascii() or not length.isdigit() or len(length) > 15:
        raise ProtocolError(400, f"Content-Length: {length[:40]} is not a number of bytes")
    return Body(connection, int(length), chunked=False, ask=ask)
