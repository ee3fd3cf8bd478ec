"""Docker's multiplexed stream: which stream, how long, then the data (Engine API, "Attach")."""

import struct

HEADER = struct.Struct(">BxxxL")
"""The stream's number, three bytes of nothing, the length of what follows (big-endian)."""
STREAM_NUMBERS = {"stdout": 1, "stderr": 2}


def framed(stream: str, data: bytes) -> bytes:
    """`data` as one frame of `stdout` or `stderr`."""
    return HEADER.pack(STREAM_NUMBERS[stream], len(data)) + data
