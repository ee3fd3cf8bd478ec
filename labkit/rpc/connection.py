"""One HTTP/2 connection, on either side: many streams of bytes in both directions.

The thread in `run` reads frames and puts data into the streams' queues.  It never waits for a
reader, nor for the other side to read answers: two sides that both only write would wait for ever.
Other threads read from streams and write to them.  The other side's credit limits what a stream may
send, and this side's credit what it may receive.  A reader that takes bytes returns credit, so a
connection never holds more than `CONNECTION_WINDOW_BYTES`.  Source: RFC 9113.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

Headers = list[tuple[str, str]]

STREAM_WINDOW_BYTES = 1 << 20
CONNECTION_WINDOW_BYTES = 4 << 20
FRAME_MAX_BYTES = 1 << 20
HEADERS_MAX_BYTES = 64 << 10
STREAMS_MAX = 250
RESETS_MAX = 1000
"""How many streams a peer may open and reset before the connection is closed (CVE-2023-44487)."""
READ_BYTES = 256 << 10
UNANSWERED_MAX_BYTES = 2 * CONNECTION_WINDOW_BYTES
QUESTIONS_MAX = 10_000
"""How much, and how many pings and settings, a peer may send while it reads nothing: the answers
would be kept without a limit.  Its credit for data ends before that."""


_SETTINGS: dict[SettingCodes | int, int] = {
    SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
    SettingCodes.MAX_FRAME_SIZE: FRAME_MAX_BYTES,
    SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX,
    SettingCodes.MAX_HEADER_LIST_SIZE: HEADERS_MAX_BYTES,
}


class Link(Protocol):
    """The carrier of the connection: a socket, or a tunnel."""

    def recv(self, count: int, /) -> bytes:
        """Return data that has arrived, at most `count` bytes; empty at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it; OSError."""


class StreamError(ConnectionError):
    """The stream was reset, or its connection has ended."""


class Stream:
    """One stream of a connection; its reader and its writer may be two threads."""

    def __init__(self, connection: "Connection", number: int) -> None:
        self._connection = connection
        self.number = number
        self.headers: Headers = []
        """The first headers from the other side; empty before they arrive."""
        self.trailers: Headers = []
        """Its last headers."""
        self._waiting: deque[tuple[bytes, int]] = deque()
        self.has_ended = False
        """Whether the other side has sent its last data."""
        self.is_reset = False
        """Whether it ended early: either side has reset it, or the connection has ended."""
        self.on_reset: Callable[[], None] | None = None

    def read(self, timeout_s: float | None = None) -> bytes:
        """Return data that has arrived; empty at the end.  StreamError, TimeoutError."""
        return self._connection.read(self, timeout_s)

    @property
    def has_waiting(self) -> bool:
        """Whether unread data has arrived."""
        return bool(self._waiting)

    def wait_for_headers(self, timeout_s: float | None = None) -> None:
        """Wait until the other side has sent its headers.  StreamError, TimeoutError."""
        self._connection.wait(
            lambda: bool(self.headers) or self.has_ended or self.is_reset, timeout_s
        )
        if not self.headers:
            raise StreamError("the stream ended without an answer")

    def send(self, data: bytes, *, end: bool = False, timeout_s: float | None = None) -> None:
        """Send data, as fast as the other side's credit allows.  StreamError."""
        self._connection.send(self, data, end=end, timeout_s=timeout_s)

    def send_headers(self, headers: Headers, *, end: bool = False) -> None:
        """Send headers, or trailers with `end`.  StreamError."""
        self._connection.send_headers(self, headers, end=end)

    def reset(self) -> None:
        """End it in both directions; unread data is dropped."""
        self._connection.reset(self)


class Connection:
    """A connection over a link."""

    def __init__(
        self, link: Link, *, is_client: bool, accept: Callable[[Stream], None] | None = None
    ) -> None:
        """`accept` gets each stream that the other side opens, and must not wait."""
        self._link = link
        self._accept = accept
        config = H2Configuration(client_side=is_client, header_encoding="utf-8")
        self._http = H2Connection(config)
        self._streams: dict[int, Stream] = {}
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        """Held while bytes are sent, so that they leave in h2's order; never within `_changed`."""
        self._has_answers = False
        """Whether a reader has queued an answer to send."""
        self._resets = 0
        self._unanswered_bytes = self._questions = 0
        self.is_closed = False
        self._http.initiate_connection()
        self._http.update_settings(_SETTINGS)
        # h2 allows it only after the acknowledgement, but such frames may arrive with it.
        self._http.max_inbound_frame_size = FRAME_MAX_BYTES
        self._http.increment_flow_control_window(CONNECTION_WINDOW_BYTES - 65535)

    # Reading

    def run(self) -> None:
        """Read until the connection ends, by either side."""
        threading.Thread(target=self._send_answers, name="rpc answers", daemon=True).start()
        try:
            self._flush()
            while data := self._link.recv(READ_BYTES):
                if not self._received(data):
                    break
        except OSError:
            pass  # the other side has disconnected
        finally:
            self.close()

    def _received(self, data: bytes) -> bool:
        """Act on data that has arrived; return whether the connection continues."""
        calls: list[Callable[[], None]] = []
        with self._changed:
            try:
                events = self._http.receive_data(data)
            except ProtocolError:
                return False  # `close` still sends the rule that the other side broke
            self._unanswered_bytes += len(data)
            goes_on = True
            for event in events:
                goes_on = self._happened(event, calls) and goes_on
            if self._unanswered_bytes > UNANSWERED_MAX_BYTES or self._questions > QUESTIONS_MAX:
                goes_on = False
            self._has_answers = True
            self._changed.notify_all()
        for call in calls:
            call()
        return goes_on and self._resets <= RESETS_MAX

    def _happened(self, event: Event, calls: list[Callable[[], None]]) -> bool:
        """Note one event; add functions to call without the lock to `calls`."""
        if isinstance(event, ConnectionTerminated):
            return False
        if isinstance(event, RequestReceived):
            stream = Stream(self, event.stream_id)
            stream.headers = _text(event.headers)
            self._streams[stream.number] = stream
            accept = self._accept
            if accept is not None:
                calls.append(lambda: accept(stream))
            return True
        self._questions += isinstance(event, PingReceived | RemoteSettingsChanged)
        found = self._streams.get(getattr(event, "stream_id", None) or 0)
        if found is None:
            return True
        if isinstance(event, DataReceived):
            if event.flow_controlled_length:  # an empty frame is no end, and nothing to read
                found._waiting.append((event.data, event.flow_controlled_length))
        elif isinstance(event, ResponseReceived):
            found.headers = _text(event.headers)
        elif isinstance(event, TrailersReceived):
            found.trailers = _text(event.headers)
        elif isinstance(event, StreamEnded):
            found.has_ended = True
        elif isinstance(event, StreamReset):
            self._resets += event.remote_reset
            # After the end a reset with NO_ERROR only means that the other side needs no more.
            if not found.has_ended or event.error_code != ErrorCodes.NO_ERROR:
                self._broken(found, calls)
        return True

    def _broken(self, stream: Stream, calls: list[Callable[[], None]]) -> None:
        stream.is_reset = True
        self._streams.pop(stream.number, None)
        if stream.on_reset is not None:
            calls.append(stream.on_reset)

    def read(self, stream: Stream, timeout_s: float | None) -> bytes:
        """Return data that has arrived on a stream, and return credit for it."""
        self.wait(lambda: bool(stream._waiting) or stream.has_ended or stream.is_reset, timeout_s)
        with self._changed:
            if stream.is_reset:
                raise StreamError("the other side cancelled the call")
            taken = list(stream._waiting)
            stream._waiting.clear()
            if credit := sum(size for _, size in taken):
                self._http.acknowledge_received_data(credit, stream.number)
                self._has_answers = True
                self._changed.notify_all()
        return b"".join(data for data, _ in taken)

    def wait(self, is_so: Callable[[], bool], timeout_s: float | None) -> None:
        """Wait until the condition holds; TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(is_so, timeout_s):
                raise TimeoutError("the other side does not answer")

    # Writing

    def open(self, headers: Headers) -> Stream:
        """Open a stream with a request's headers; StreamError."""
        with self._changed, _as_stream_error():
            self._check_open()
            stream = Stream(self, self._http.get_next_available_stream_id())
            self._http.send_headers(stream.number, headers)
            self._streams[stream.number] = stream
        self._flush()
        return stream

    def send_headers(self, stream: Stream, headers: Headers, *, end: bool) -> None:
        """Send headers on a stream."""
        with self._changed, _as_stream_error():
            self._check(stream)
            self._http.send_headers(stream.number, headers, end_stream=end)
        self._flush()

    def send(
        self, stream: Stream, data: bytes, *, end: bool, timeout_s: float | None = None
    ) -> None:
        """Send data on a stream, in frames as large as the other side allows.

        `timeout_s` limits each wait for the other side's credit; then the stream is reset.
        """
        rest = memoryview(data)
        is_last = False
        while not is_last:
            with self._changed:
                if rest:
                    has_credit = self._changed.wait_for(lambda: self._may_send(stream), timeout_s)
                    if not has_credit:
                        stream.is_reset = True
                with _as_stream_error():
                    self._check(stream)
                    size = min(len(rest), self._window(stream), self._http.max_outbound_frame_size)
                    is_last = size == len(rest)
                    self._http.send_data(stream.number, bytes(rest[:size]), end and is_last)
            self._flush()
            rest = rest[size:]

    def _may_send(self, stream: Stream) -> bool:
        return stream.is_reset or self.is_closed or self._window(stream) > 0

    def _window(self, stream: Stream) -> int:
        with _as_stream_error():
            return self._http.local_flow_control_window(stream.number)

    def reset(self, stream: Stream) -> None:
        """End a stream in both directions."""
        stream.is_reset = True
        self._leave(stream, ErrorCodes.CANCEL)

    def forget(self, stream: Stream) -> None:
        """Drop a stream that has ended on this side; later data is ignored."""
        self._leave(stream, ErrorCodes.NO_ERROR)

    def _leave(self, stream: Stream, why: ErrorCodes) -> None:
        with self._changed:
            if self._streams.pop(stream.number, None) is None or self.is_closed:
                return
            credit = sum(size for _, size in stream._waiting)
            stream._waiting.clear()
            with contextlib.suppress(ProtocolError):
                if credit:
                    self._http.acknowledge_received_data(credit, stream.number)
                if not stream.has_ended or why == ErrorCodes.CANCEL:
                    self._http.reset_stream(stream.number, why)
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._flush()

    def close(self) -> None:
        """End the connection, and every stream on it."""
        calls: list[Callable[[], None]] = []
        with self._changed:
            if self.is_closed:
                return
            with contextlib.suppress(ProtocolError):
                self._http.close_connection()
            self.is_closed = True
            for stream in list(self._streams.values()):
                self._broken(stream, calls)
            self._changed.notify_all()
        for call in calls:
            call()
        if self._writing.acquire(blocking=False):  # else a thread waits for a stuck peer
            self._writing.release()
            with contextlib.suppress(OSError):
                self._flush()

    def _check_open(self) -> None:
        if self.is_closed:
            raise StreamError("the connection has ended")

    def _check(self, stream: Stream) -> None:
        self._check_open()
        if stream.is_reset:
            raise StreamError("the other side cancelled the call")

    def _flush(self) -> None:
        """Send all queued data; OSError."""
        with self._writing:
            with self._changed:
                data = self._http.data_to_send()
                answered_bytes, answered = self._unanswered_bytes, self._questions
            if data:
                self._link.sendall(data)
            with self._changed:
                self._unanswered_bytes -= answered_bytes
                self._questions -= answered

    def _send_answers(self) -> None:
        """Send the answers that readers queue: pings, settings, credit."""
        try:
            while not self.is_closed:
                self.wait(lambda: self._has_answers or self.is_closed, None)
                self._has_answers = False
                self._flush()
        except OSError:
            self.close()


def _text(headers: Iterable[tuple[str | bytes, str | bytes]] | None) -> Headers:
    return [(str(name), str(value)) for name, value in headers or ()]


@contextlib.contextmanager
def _as_stream_error() -> Iterator[None]:
    """Turn h2's error for a stream that the other side has just ended into StreamError."""
    try:
        yield
    except ProtocolError as error:
        raise StreamError(f"the call cannot continue: {error}") from None
