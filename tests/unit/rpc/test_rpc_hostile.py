"""Peers that break HTTP/2's spirit: the connection ends, and holds no more than its limits."""

import contextlib
import resource
import socket
import threading
from collections.abc import Iterator

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from labkit.rpc import calls, wire
from labkit.rpc.calls import Made, Served
from labkit.rpc.connection import FRAME_MAX_BYTES, Connection
from labkit.rpc.errors import CANCELLED, CallError
from labkit.rpc.serving import Server
from labkit.rpc.tunnel import Piece

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TIMEOUT_S = 60.0
FLOOD_BYTES = 256 << 20
"""Far more than a connection may hold."""


@contextlib.contextmanager
def served() -> Iterator[tuple[socket.socket, threading.Thread]]:
    """A peer's socket to a server, after the first frames, and the server's thread."""
    ours, theirs = socket.socketpair()
    server = Server(theirs, {"/s/hold": hold})
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ours.settimeout(TIMEOUT_S)
    ours.sendall(PREFACE + SettingsFrame(0).serialize())
    try:
        yield ours, thread
    finally:
        for each in (ours, theirs):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def hold(call: Served) -> None:
    while call.receive_bytes(TIMEOUT_S) is not None:
        pass


def flood(peer: socket.socket, thread: threading.Thread, frames: bytes) -> int:
    """Send frames again and again without reading, until the server ends; return the bytes sent."""
    sent = 0
    while thread.is_alive() and sent < FLOOD_BYTES:
        sent += flood_once(peer, frames)
    return sent


def flood_once(peer: socket.socket, frames: bytes) -> int:
    """Send frames, or a part of them, if the server takes them soon."""
    peer.settimeout(0.2)
    try:
        return peer.send(frames)
    except OSError:
        return 0


def headers(number: int, *, more: bytes = b"") -> bytes:
    block = Encoder().encode([(":method", "POST"), (":path", "/s/hold"), (":scheme", "http")])
    frame = HeadersFrame(number, block + more)
    frame.flags.add("END_HEADERS")
    return bytes(frame.serialize())


@pytest.mark.parametrize(
    "frame", [PingFrame(0, b"12345678"), SettingsFrame(0, {4: 70_000})], ids=["pings", "settings"]
)
def test_a_flood_of_questions_whose_answers_are_not_read(frame: Frame) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with served() as (peer, thread):
        sent = flood(peer, thread, bytes(frame.serialize()) * 1000)
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    assert sent < FLOOD_BYTES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 << 10  # KiB


def test_streams_that_are_opened_and_reset() -> None:
    with served() as (peer, thread):
        for number in range(1, 2 * 1500, 2):
            if thread.is_alive():
                flood_once(peer, headers(number) + RstStreamFrame(number, 8).serialize())
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def test_headers_without_an_end() -> None:
    with served() as (peer, thread):
        peer.sendall(bytes(HeadersFrame(1, b"").serialize()))
        piece = ContinuationFrame(1, bytes(FRAME_MAX_BYTES - 9)).serialize()
        sent = flood(peer, thread, bytes(piece))
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    assert sent < FLOOD_BYTES


def test_headers_that_unpack_to_very_many() -> None:
    """One long header in the table, then references to it of one byte each."""
    block = Encoder().encode([("x", "y" * 3000)], huffman=False)
    with served() as (peer, thread):
        peer.sendall(headers(1, more=block + b"\xbe" * 100_000))
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def test_a_server_of_calls_that_gives_no_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Made, "_send_timeout_s", 0.2)
    ours, theirs = socket.socketpair()
    connection = Connection(ours, is_client=True)
    thread = threading.Thread(target=connection.run, daemon=True)
    with ours, theirs:
        thread.start()
        theirs.sendall(SettingsFrame(0, {4: 0}).serialize())  # INITIAL_WINDOW_SIZE
        theirs.sendall(PingFrame(0, b"12345678").serialize())
        theirs.settimeout(TIMEOUT_S)
        said = b""
        while b"12345678" not in said:  # the settings were read before the ping
            said += theirs.recv(1000)
        made = calls.call(connection, "/s/slow")
        with pytest.raises(CallError) as found:
            made.send(Piece(bytes(100)))
        assert found.value.code == CANCELLED
        connection.close()
        for each in (ours, theirs):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        thread.join(TIMEOUT_S)


class Nest(wire.Struct):
    """A message without any nested one."""


def test_a_message_of_very_many_levels_costs_no_level() -> None:
    data = b""
    for _ in range(50_000):
        data = b"\x0a" + wire._varint(len(data)) + data
        if len(data) > 60_000:
            break
    assert wire.decode(Nest, data) == Nest()
