"""A call as a link: each message holds the next bytes of the connection inside.

So a client serves a session in one of its calls (`Control/Session`), and an SSH agent's socket
reaches a build's command.
"""

from typing import Annotated

from labkit.rpc.calls import Call
from labkit.rpc.errors import CallError
from labkit.rpc.wire import Struct

PIECE_BYTES = 32 << 10
"""The largest piece in one message: larger ones are slower."""


class Piece(Struct):
    """`BytesMessage`: some bytes."""

    data: Annotated[bytes, 1] = b""


class Tunnel:
    """The link (`labkit.rpc.connection.Link`) over a call."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def recv(self, count: int, /) -> bytes:
        """Return the next message's bytes, in any number; empty at the end.  OSError."""
        try:
            while (piece := self._call.receive(Piece)) is not None:
                if piece.data:
                    return piece.data
        except CallError as error:
            raise ConnectionError(str(error)) from None
        return b""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it.  OSError."""
        view = memoryview(data)
        try:
            for at in range(0, len(view), PIECE_BYTES):
                self._call.send(Piece(bytes(view[at : at + PIECE_BYTES])))
        except CallError as error:
            raise ConnectionError(str(error)) from None
