"""The container's log: one JSON object a line, as Docker's json-file driver writes them.

    {"log":"hi\\n","stream":"stdout","time":"2024-05-01T12:00:00.123456789Z"}

A line of output longer than 16 KiB becomes several objects, of which only the last has the newline.
Bytes that are not UTF-8 are written as U+FFFD, as Docker does.
"""

import os
import time

from labkit.kernel.files import write_all

LONGEST_PIECE = 16 * 1024

_ESCAPES = {number: f"\\u{number:04x}" for number in range(0x20)} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    # Not needed by JSON, but by those who paste it into JavaScript; Docker escapes them too.
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def timestamp(time_ns: int) -> str:
    """A point in time as RFC 3339 with nanoseconds, in UTC."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def json_string(text: str) -> str:
    """`text` as a JSON string."""
    return f'"{text.translate(_ESCAPES)}"'


class LogWriter:
    """Writes the pieces of both streams to the log file, cutting them into lines."""

    def __init__(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o640)
        self._partial = {"stdout": b"", "stderr": b""}

    def write(self, stream: str, data: bytes) -> None:
        """Take what the container has printed; whole lines are written at once."""
        *lines, rest = (self._partial[stream] + data).split(b"\n")
        pieces = [line + b"\n" for line in lines]
        while len(rest) >= LONGEST_PIECE:
            pieces.append(rest[:LONGEST_PIECE])
            rest = rest[LONGEST_PIECE:]
        self._partial[stream] = rest
        if pieces:
            self._write_pieces(stream, pieces)

    def close(self) -> None:
        """Write what was printed without a newline, and close the file."""
        for stream, rest in self._partial.items():
            if rest:
                self._write_pieces(stream, [rest])
        os.close(self._fd)

    def _write_pieces(self, stream: str, pieces: list[bytes]) -> None:
        now = timestamp(time.time_ns())
        text = "".join(
            f'{{"log":{json_string(piece.decode("utf-8", "replace"))},'
            f'"stream":"{stream}","time":"{now}"}}\n'
            for piece in pieces
        )
        write_all(self._fd, text.encode())
