"""A call: messages in one direction, messages in the other, and a status at the end (gRPC).

The request's headers name the method.  A flag and its length precede each message on the stream,
and the trailers hold the status.  Source: gRPC, "gRPC over HTTP2" (PROTOCOL-HTTP2.md).
"""

import base64
import binascii
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote

from labkit.rpc import wire
from labkit.rpc.connection import Connection, Headers, Stream, StreamError
from labkit.rpc.errors import (
    CANCELLED,
    DEADLINE_EXCEEDED,
    INTERNAL,
    OK,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    UNKNOWN,
    CallError,
)

MESSAGE_MAX_BYTES = 4 << 20
SEND_TIMEOUT_S = 60.0
"""How long the other side of a call may take no data: one that serves calls reads them."""
LARGE_MESSAGE_MAX_BYTES = 16 << 20
_HEAD = struct.Struct(">BL")
"""Whether the message is compressed, and its length."""
_CONTENT_TYPE = "application/grpc"
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")

Metadata = Mapping[str, list[str]]
Message = TypeVar("Message", bound=wire.Struct)


class Call:
    """One call, made by this side or by the other side."""

    _send_timeout_s: float | None = None
    """How long the other side may take no data; None: as long as it stays connected."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._buffer = bytearray()
        self._has_answered = False
        self.message_max_bytes = MESSAGE_MAX_BYTES

    # Both sides

    def receive_bytes(self, timeout_s: float | None = None) -> bytes | None:
        """Return the other side's next message; None after its last.  CallError."""
        try:
            return self._next(timeout_s)
        except StreamError as error:
            raise CallError(CANCELLED, str(error)) from None
        except TimeoutError as error:
            self._stream.reset()
            raise CallError(DEADLINE_EXCEEDED, str(error)) from None

    def receive(self, kind: type[Message], timeout_s: float | None = None) -> Message | None:
        """Return the next message, read as one of a kind; None after the last.  CallError."""
        data = self.receive_bytes(timeout_s)
        try:
            return None if data is None else wire.decode(kind, data)
        except wire.WireError as error:
            raise CallError(INTERNAL, str(error)) from None

    def messages(self, kind: type[Message]) -> Iterator[Message]:
        """Yield the remaining messages.  CallError."""
        while (message := self.receive(kind)) is not None:
            yield message

    def send(self, *messages: wire.Struct, end: bool = False) -> None:
        """Send messages; with `end` they are the last.  CallError."""
        parts: list[bytes] = []
        for message in messages:
            data = wire.encode(message)
            parts += (_HEAD.pack(0, len(data)), data)
        try:
            self._stream.send(b"".join(parts), end=end, timeout_s=self._send_timeout_s)
        except OSError as error:
            raise CallError(CANCELLED, str(error)) from None

    @property
    def has_more(self) -> bool:
        """Whether another complete message has arrived already."""
        if len(self._buffer) < _HEAD.size or len(self._buffer) < self._size():
            return self._stream.has_waiting
        return True

    def _next(self, timeout_s: float | None) -> bytes | None:
        while len(self._buffer) < _HEAD.size or len(self._buffer) < self._size():
            data = self._stream.read(timeout_s)
            if not data:
                if self._buffer:
                    raise CallError(INTERNAL, "a message was cut short")
                return None
            self._buffer += data
        size = self._size()
        message = bytes(memoryview(self._buffer)[_HEAD.size : size])
        del self._buffer[:size]
        return message

    def _size(self) -> int:
        is_compressed, size = _HEAD.unpack_from(self._buffer)
        if is_compressed:
            raise CallError(UNIMPLEMENTED, "compressed messages are not read here")
        if size > self.message_max_bytes:
            raise CallError(
                RESOURCE_EXHAUSTED,
                f"a message has {size} bytes: at most {self.message_max_bytes} are allowed",
            )
        return int(size) + _HEAD.size

    def cancel(self) -> None:
        """Cancel the call."""
        self._stream.reset()


class Served(Call):
    """A call that the other side made."""

    @property
    def path(self) -> str:
        """The method: `/package.Service/Method`."""
        return first(_metadata(self._stream.headers), ":path")

    @property
    def metadata(self) -> Metadata:
        """The headers of the request, by names in lower case."""
        return _metadata(self._stream.headers)

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller has cancelled the call, or has disconnected."""
        return self._stream.is_reset

    def on_cancel(self, action: Callable[[], None]) -> None:
        """Call `action` when the caller cancels the call, or now if it has disconnected."""
        self._stream.on_reset = action
        if self._stream.is_reset:
            action()

    def answer_headers(self) -> None:
        """Send the answer's headers, before its first message."""
        if not self._has_answered:
            self._has_answered = True
            self._stream.send_headers([(":status", "200"), ("content-type", _CONTENT_TYPE)])

    def send(self, *messages: wire.Struct, end: bool = False) -> None:
        """Send messages of the answer; the status follows them.  CallError."""
        try:
            self.answer_headers()
        except OSError as error:
            raise CallError(CANCELLED, str(error)) from None
        super().send(*messages, end=end)

    def finish(self, code: int = OK, message: str = "", details: bytes = b"") -> None:
        """End the call with a status; an OSError means that the caller has disconnected."""
        trailers = [("grpc-status", str(code))]
        if message:
            trailers.append(("grpc-message", quote(message, safe=_PRINTABLE)))
        if details:
            encoded = base64.b64encode(details).decode().rstrip("=")
            trailers.append(("grpc-status-details-bin", encoded))
        self.answer_headers()
        self._stream.send_headers(trailers, end=True)
        self._connection.forget(self._stream)


class Made(Call):
    """A call made by this side: `with calling(...) as call`."""

    _send_timeout_s = SEND_TIMEOUT_S

    def send(self, *messages: wire.Struct, end: bool = False) -> None:
        """Send messages; after the other side has answered, none is sent.  CallError."""
        try:
            super().send(*messages, end=end)
        except CallError:
            if not self._stream.has_ended:
                raise

    def check(self) -> None:
        """Raise the call's status if it is not OK; use it after the last message."""
        metadata = _metadata([*self._stream.headers, *self._stream.trailers])
        if first(metadata, ":status") != "200":
            raise CallError(UNKNOWN, "the other side does not speak gRPC")
        status = first(metadata, "grpc-status")
        code = int(status) if status.isdecimal() else UNKNOWN
        if code != OK:
            raise CallError(code, unquote(first(metadata, "grpc-message")), _details(metadata))

    def receive_bytes(self, timeout_s: float | None = None) -> bytes | None:
        """Return the next message; None after the last, if the status is OK.  CallError."""
        data = super().receive_bytes(timeout_s)
        if data is None:
            self.check()
        return data

    def close(self) -> None:
        """End it, if it has not ended."""
        self._connection.forget(self._stream)


class Caller(Protocol):
    """An object on which calls can be made."""

    def call(self, path: str, metadata: Metadata) -> Made:
        """Begin a call.  CallError."""


def call(connection: Connection, path: str, metadata: Metadata | None = None) -> Made:
    """Begin a call of the method `path`; the caller closes it.  CallError."""
    headers: Headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", _CONTENT_TYPE),
        ("te", "trailers"),
    ]
    headers += [(name, value) for name, values in (metadata or {}).items() for value in values]
    try:
        return Made(connection, connection.open(headers))
    except OSError as error:
        raise CallError(CANCELLED, str(error)) from None


def ask(
    caller: Caller, path: str, request: wire.Struct, kind: type[Message], timeout_s: float
) -> Message:
    """Make a call of one message with an answer of one message.  CallError."""
    made = caller.call(path, {})
    try:
        made.send(request, end=True)
        answer = made.receive(kind, timeout_s)
        if answer is None:
            raise CallError(INTERNAL, f"{path} returned no answer")
        return answer
    finally:
        made.close()


def first(metadata: Metadata, name: str) -> str:
    """Return the first value of a name; empty if there is none."""
    return metadata.get(name, [""])[0]


def _metadata(headers: Headers) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def _details(metadata: Metadata) -> bytes:
    text = first(metadata, "grpc-status-details-bin")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""
