"""Docker's multiplexed stream: stdout and stderr of a container on one connection.

Each frame is a header of 8 bytes and its payload: the stream's number (0 stdin, 1 stdout, 2 stderr,
3 an error of the engine), three zero bytes, and the payload's length as a big-endian 32-bit number
(Docker Engine API, "Attach to a container", stream format).  With a terminal (`Tty`) there is one
stream only, and it is not framed.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDOUT = 1
STDERR = 2
SYSTEM_ERROR = 3
HEADER_BYTES = 8
STREAM_NUMBERS = {"stdout": STDOUT, "stderr": STDERR}


class Demultiplexer:
    """Takes the stream in pieces as they arrive, and returns them with their stream's number.

    A frame's payload is passed on as it arrives, before the frame is complete.
    """

    def __init__(self) -> None:
        self._header = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> "Iterator[tuple[int, bytes]]":
        """Yield the payloads in `data`, each with 1 for stdout, 2 for stderr, 3 for an error."""
        position = 0
        while position < len(data):
            if self._left:
                part = data[position : position + self._left]
                self._left -= len(part)
                position += len(part)
                yield self._stream, part
                continue
            taken = data[position : position + HEADER_BYTES - len(self._header)]
            self._header += taken
            position += len(taken)
            if len(self._header) == HEADER_BYTES:
                self._stream = self._header[0]
                self._left = int.from_bytes(self._header[4:], "big")
                self._header = b""


def demultiplex(pieces: "Iterable[bytes]") -> "Iterator[tuple[int, bytes]]":
    """Yield the payloads of a whole stream, each with its stream's number."""
    demultiplexer = Demultiplexer()
    for piece in pieces:
        yield from demultiplexer.feed(piece)


def head(number: int, size: int) -> bytes:
    """Return the header of a frame with `size` bytes of payload."""
    return bytes([number, 0, 0, 0]) + size.to_bytes(4, "big")


def framed(stream: str, data: bytes) -> bytes:
    """Return `data` as one frame of `stdout` or `stderr`."""
    return head(STREAM_NUMBERS[stream], len(data)) + data
