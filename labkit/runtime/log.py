"""The container's log: one JSON object a line, as Docker's json-file driver writes it.

    {"log":"hi\\n","stream":"stdout","time":"2024-05-01T12:00:00.123456789Z"}

A line of output longer than 16 KiB becomes several objects, and only the last has the newline.
Bytes that are not UTF-8 are written as U+FFFD, as Docker does.
"""

import os
import time
from contextlib import suppress

from labkit.dialect.moments import timestamp
from labkit.kernel import reserve
from labkit.kernel.files import write_all

LONGEST_PIECE = 16 * 1024

# The characters that JSON escapes, except the newline, which ends an object here.  The backslash is
# first, because the other escapes contain one.  U+2028 and U+2029 need no escape in JSON, but they
# end a line in JavaScript; Docker escapes them too.
_ESCAPES = (
    ("\\", "\\\\"),
    ('"', '\\"'),
    ("\r", "\\r"),
    ("\t", "\\t"),
    *((chr(n), f"\\u{n:04x}") for n in range(0x20) if chr(n) not in "\n\r\t"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)


def escape(text: str) -> str:
    """Return `text` with the escapes of a JSON string; its newlines are left as they are.

    Searching the whole text for each character, and replacing the few that occur, is ten times as
    fast as looking at each character of the text.
    """
    for character, escaped in _ESCAPES:
        if character in text:
            text = text.replace(character, escaped)
    return text


class LogWriter:
    """Write both streams to the log file, cut into lines."""

    def __init__(self, path: str, max_bytes: int = 0, max_files: int = 1) -> None:
        """Append to `path`; with `max_bytes`, at most `max_files` files of that size are kept."""
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._fd = -1
        self._size = 0
        self._lost = 0
        """How many lines were lost since the last write that succeeded."""
        try:
            self._open()
        except OSError as error:
            if error.errno not in reserve.FULL:
                raise
            # `_append` tries again.
        self._partial = {"stdout": b"", "stderr": b""}

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        """Begin a new file: `x.log` becomes `x.log.1`, that one `x.log.2`; the last is removed."""
        os.close(self._fd)
        self._fd = -1  # until a new one is open
        names = [self._path, *(f"{self._path}.{number}" for number in range(1, self._max_files))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            with suppress(FileNotFoundError):
                os.rename(newer, older)
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # with a single file there is no older name
        self._open()

    def _append(self, data: bytes) -> None:
        """Write whole lines.  Lines that a full disk refuses are lost; the container continues.

        As soon as there is room again, the log says how many lines are missing.
        """
        try:
            if self._fd < 0:
                self._open()
            if self._lost:
                self._append_cut(self._gap())
                self._lost = 0
            self._append_cut(data)
        except OSError:
            self._lost += data.count(b"\n")
            if self._fd >= 0:
                # Half a line would spoil the next one.
                with suppress(OSError):
                    os.ftruncate(self._fd, self._size)

    def _gap(self) -> bytes:
        text = f"labkit: {self._lost} lines are missing here: the disk was full\\n"
        stamp = timestamp(time.time_ns())
        return f'{{"log":"{text}","stream":"stderr","time":"{stamp}"}}\n'.encode()

    def _append_cut(self, data: bytes) -> None:
        """Write each line to a file that has room for it; one line alone may exceed the limit."""
        while self._max_bytes and self._size + len(data) > self._max_bytes:
            room = max(self._max_bytes - self._size, 0)
            end = data.rfind(b"\n", 0, room) + 1
            if not end and not self._size:
                end = data.index(b"\n") + 1
            self._write(data[:end])
            data = data[end:]
            if not data:
                return
            self._rotate()
        self._write(data)

    def _write(self, data: bytes) -> None:
        write_all(self._fd, data)
        self._size += len(data)

    def write(self, stream: str, data: bytes) -> None:
        """Take output of the container; whole lines are written at once."""
        lines, newline, rest = (self._partial[stream] + data).rpartition(b"\n")
        if newline:
            if max(map(len, lines.split(b"\n"))) < LONGEST_PIECE:
                self._write_objects(stream, lines, newline)
            else:
                for line in lines.split(b"\n"):
                    self._write_objects(stream, self._write_long(stream, line), newline)
        self._partial[stream] = self._write_long(stream, rest)

    def end(self) -> tuple[str, int]:
        """Return the current file and its length, which covers whole lines only."""
        return self._path, self._size

    def unfinished(self) -> list[tuple[str, bytes]]:
        """Return the output of each stream since its last newline; the file lacks it still."""
        return [(stream, rest) for stream, rest in self._partial.items() if rest]

    def close(self) -> None:
        """Write the output that has no newline yet, and close the file."""
        for stream, rest in self._partial.items():
            if rest:
                self._write_objects(stream, rest, b"")
        if self._fd >= 0:
            os.close(self._fd)

    def _write_long(self, stream: str, line: bytes) -> bytes:
        """Write the pieces of a long line, except the last, which is returned."""
        while len(line) >= LONGEST_PIECE:
            end = LONGEST_PIECE
            while end > LONGEST_PIECE - 4 and line[end : end + 1] and line[end] & 0xC0 == 0x80:
                end -= 1  # not in the middle of a character's bytes
            self._write_objects(stream, line[:end], b"")
            line = line[end:]
        return line

    def _write_objects(self, stream: str, lines: bytes, newline: bytes) -> None:
        """Write an object for each line; the last one ends in `newline`, which may be empty."""
        tail = f'","stream":"{stream}","time":"{timestamp(time.time_ns())}"}}\n'
        text = escape(lines.decode("utf-8", "replace"))
        objects = text.replace("\n", f'\\n{tail}{{"log":"')
        last = "\\n" if newline else ""
        self._append(f'{{"log":"{objects}{last}{tail}'.encode())
