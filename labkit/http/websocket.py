"""WebSocket (RFC 6455), the server's side: handshake, frames, and a plain socket behind them."""

import base64
import contextlib
import hashlib
import select
import socket
from collections.abc import Callable
from struct import pack, unpack_from

from labkit.errors import InvalidParameterError
from labkit.http.connection import SEND_TIME_S
from labkit.http.errors import ProtocolError
from labkit.http.requests import Request

_KEY_END = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
LONGEST_FRAME = 16 << 20
PIECE_BYTES = 64 * 1024
CLOSING_TIME_S = 1.0
NORMAL_END = pack(">H", 1000)
_ENDED_OR_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


def head(request: Request) -> bytes:
    """The answer that turns a request into a WebSocket; InvalidParameterError if it is none."""
    key = request.headers.get("sec-websocket-key", "")
    if request.headers.get("upgrade", "").lower() != "websocket" or not key:
        raise InvalidParameterError("this is for WebSocket: ask with Upgrade: websocket")
    accept = base64.b64encode(hashlib.sha1(key.encode() + _KEY_END).digest()).decode()  # noqa: S324 RFC 6455 prescribes SHA-1
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def frame(payload: bytes, kind: int = BINARY) -> bytes:
    """One frame of a server's, which is not masked."""
    length = len(payload)
    if length < 126:
        begin = pack(">BB", _FINAL | kind, length)
    elif length < 1 << 16:
        begin = pack(">BBH", _FINAL | kind, 126, length)
    else:
        begin = pack(">BBQ", _FINAL | kind, 127, length)
    return begin + payload


def take_frame(received: bytearray) -> tuple[int, bytes] | None:
    """Take the first frame from the bytes of a client: its kind and payload.

    None if it is not whole yet.  ProtocolError for what a client may not send.
    """
    if len(received) < 2:
        return None
    kind, length, begin = received[0] & 0x0F, received[1] & 0x7F, 2
    if not received[1] & _MASKED:
        raise ProtocolError(400, "a WebSocket's client masks its frames (RFC 6455, 5.1)")
    if length > 125:
        size = 2 if length == 126 else 8
        if len(received) < begin + size:
            return None
        (length,) = unpack_from(">H" if size == 2 else ">Q", received, begin)
        begin += size
    if length > LONGEST_FRAME:
        raise ProtocolError(413, f"a frame has at most {LONGEST_FRAME} bytes")
    end = begin + 4 + length
    if len(received) < end:
        return None
    mask = bytes(received[begin : begin + 4])
    masked = bytes(received[begin + 4 : end])
    del received[:end]
    return kind, _unmasked(masked, mask)


def _unmasked(data: bytes, mask: bytes) -> bytes:
    whole = (mask * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")
    return number.to_bytes(len(data), "big")


class _Side:
    """One of two sockets, and the bytes that wait until it takes them."""

    def __init__(self, own: socket.socket) -> None:
        own.setblocking(False)
        self.socket = own
        self.waiting = bytearray()

    def events(self, other: "_Side") -> int:
        """The events to wait for; no more is read while the other side is far behind."""
        reads = select.POLLIN if len(other.waiting) < PIECE_BYTES else 0
        return reads | (select.POLLOUT if self.waiting else 0)

    def send(self) -> None:
        """Send what the socket takes now; reading from it reports its end."""
        try:
            del self.waiting[: self.socket.send(self.waiting)]
        except BlockingIOError:
            return
        except ConnectionError:
            self.waiting.clear()


def carry(client: socket.socket, plain: socket.socket, shown: Callable[[bytes], bytes]) -> None:
    """Pass on a client's frames to a plain socket, and that socket's bytes to the client as frames.

    `shown` turns those bytes into the payload.  Returns when either side has ended.  A side that
    does not read stops the other one's data, and neither its own nor the end.
    """
    received = bytearray()
    ours, theirs = _Side(client), _Side(plain)
    with contextlib.suppress(OSError, ProtocolError):
        while True:
            poll = select.poll()
            poll.register(client, ours.events(theirs))
            poll.register(plain, theirs.events(ours))
            ready = dict(poll.poll())
            for side in (ours, theirs):
                if ready.get(side.socket.fileno(), 0) & select.POLLOUT:
                    side.send()
            if ready.get(plain.fileno(), 0) & _ENDED_OR_READABLE:
                data = _received(plain)
                if not data:
                    _finish(ours)
                    return
                if payload := shown(data):
                    ours.waiting += frame(payload)
            if ready.get(client.fileno(), 0) & _ENDED_OR_READABLE:
                data = _received(client)
                received += data
                if not data or not _serve(received, ours, theirs):
                    return


def _received(own: socket.socket) -> bytes:
    """The next piece; b"" at the end, also of a socket whose other end was closed with data."""
    try:
        return own.recv(PIECE_BYTES)
    except ConnectionError:
        return b""


def _finish(client: _Side) -> None:
    """Send the last bytes and the end, and hear the client's own word of it, for a moment."""
    client.socket.settimeout(SEND_TIME_S)
    client.socket.sendall(client.waiting + frame(NORMAL_END, CLOSE))
    client.socket.settimeout(CLOSING_TIME_S)
    received = bytearray()
    while data := client.socket.recv(PIECE_BYTES):
        received += data
        while (taken := take_frame(received)) is not None:
            if taken[0] == CLOSE:
                return


def _serve(received: bytearray, client: _Side, plain: _Side) -> bool:
    """Do what a client's frames say; False when it has ended."""
    while (taken := take_frame(received)) is not None:
        kind, payload = taken
        if kind == CLOSE:
            client.waiting += frame(payload[:2], CLOSE)
            client.send()
            return False
        if kind == PING:
            # A client that does not read may miss answers; RFC 6455 asks for the last alone.
            if len(client.waiting) < PIECE_BYTES:
                client.waiting += frame(payload, PONG)
        elif kind != PONG:
            plain.waiting += payload
    return True
