"""A client of a WebSocket that floods it."""

import socket

from labkit.http import websocket


def masked(payload: bytes, kind: int) -> bytes:
    return bytes([0x80 | kind, 0x80 | len(payload)]) + bytes(4) + payload


def test_pings_of_a_client_that_does_not_read_wait_in_bounded_memory():
    ours, plain = socket.socketpair()
    with ours, plain:
        client, other = websocket._Side(ours), websocket._Side(plain)
        received = bytearray(masked(b"x" * 100, websocket.PING) * 5000)
        assert websocket._serve(received, client, other)
    assert received == b""
    assert len(client.waiting) < websocket.PIECE_BYTES + 200
