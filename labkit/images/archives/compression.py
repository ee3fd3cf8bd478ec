"""Compressed streams: input is recognised by its first bytes; the store keeps gzip.

Nothing here holds more than a few hundred kilobytes, however large the layer is.
"""

import bz2
import hashlib
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

import zstandard
from isal import igzip, igzip_lib, isal_zlib

from labkit.errors import InvalidParameterError
from labkit.kernel.files import write_all

CHUNK_BYTES = 1 << 18
GZIP_LEVEL = 1  # isal's own scale, 0 to 3: within 4 % of its best, and a third faster
GZIP_FORMAT = 31  # zlib's "wbits": a window of 2**15 bytes, with a gzip header
ZSTD_WINDOW_MAX_BYTES = 1 << 27
XZ_MEMORY_MAX_BYTES = 1 << 27
"""Enough for `xz -9`; a hostile archive may ask for as much of the daemon's memory."""

BROKEN_STREAM_ERRORS = (
    EOFError,
    zlib.error,  # isal's own error is mostly the same class
    cast("type[Exception]", igzip_lib.IsalError),
    igzip.BadGzipFile,
    lzma.LZMAError,
    zstandard.ZstdError,
)


class _Whole(io.RawIOBase):
    """Gives any object with `read(n)` the interface that `io.BufferedReader` needs."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _ZstdFile:
    """Reads zstd frames; unlike zstandard's own reader it detects a frame that is cut short.

    Input goes in by kilobytes, because one of them can expand to 32 megabytes.
    """

    PIECE_BYTES = 1 << 10

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX_BYTES)
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._input = b""
        self._output = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; EOFError if the stream ends within a frame."""
        while not self._output:
            piece = self._input or self._stream.read(self.PIECE_BYTES)
            if not piece and self._frame:
                raise EOFError("the end of a zstd frame is missing")
            if not piece:
                return b""
            self._feed(piece)
        result, self._output = self._output[:size], self._output[size:]
        return bytes(result)

    def _feed(self, piece: bytes) -> None:
        frame = self._frame or self._decompressor.decompressobj()
        self._output = memoryview(frame.decompress(piece))
        self._frame = None if frame.eof else frame
        self._input = frame.unused_data if frame.eof else b""


class _XzFile:
    """Reads xz streams, one after the other, with limited memory.

    A head that asks for more raises LZMAError; `lzma.LZMAFile` would allocate it, up to 4 GiB.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decompressor: lzma.LZMADecompressor | None = None
        self._input = b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; EOFError if the data ends within a stream."""
        while True:
            if self._decompressor is None:
                self._input = self._input.lstrip(b"\0") or self._stream.read(CHUNK_BYTES)
                if not self._input:
                    return b""
                if self._input.strip(b"\0"):  # zeros may be between streams, and at the end
                    self._decompressor = lzma.LZMADecompressor(
                        lzma.FORMAT_XZ, memlimit=XZ_MEMORY_MAX_BYTES
                    )
                continue
            decompressor = self._decompressor
            if decompressor.needs_input and not self._input:
                self._input = self._stream.read(CHUNK_BYTES)
                if not self._input:
                    raise EOFError("the end of an xz stream is missing")
            data = decompressor.decompress(self._input, size)
            self._input = decompressor.unused_data if decompressor.eof else b""
            if decompressor.eof:
                self._decompressor = None
            if data:
                return data


# By the first bytes of the format; each function takes a stream and returns an object with read().
_READERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b\x08": lambda stream: igzip.IGzipFile(fileobj=stream),  # type: ignore[no-untyped-call]
    b"\x28\xb5\x2f\xfd": _ZstdFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": _XzFile,
}


def plain_chunks(stream: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the stream's bytes, decompressed if they are gzip, zstd, bzip2 or xz.

    Each chunk is complete; if the data is cut short, the chunks before the cut are yielded.
    Raises `InvalidParameterError` if the compressed data is damaged or cut short; errors of the
    stream itself pass through.
    """
    reader: Any = io.BufferedReader(_Whole(stream), CHUNK_BYTES)
    first = reader.peek(max(map(len, _READERS)))
    for magic, decompressed in _READERS.items():
        if first.startswith(magic):
            reader = decompressed(reader)
            break
    try:
        while chunk := reader.read(chunk_bytes):
            yield chunk
    except BROKEN_STREAM_ERRORS as error:
        raise _damaged(error) from None
    except OSError as error:
        # bz2 raises "Invalid data stream" as a plain OSError; a real one has an errno or a class.
        if error.errno or type(error) is not OSError:
            raise
        raise _damaged(error) from None


def _damaged(error: Exception) -> InvalidParameterError:
    return InvalidParameterError(f"the archive's compressed data is damaged or cut short ({error})")


class GzipBlob:
    """A blob in progress: it takes plain bytes, and makes a gzip file and its digest.

    The same bytes make the same file, in whatever pieces they come: isal's output depends on the
    pieces that it is given, so it is given pieces of one size.
    """

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._compressor = isal_zlib.compressobj(GZIP_LEVEL, isal_zlib.DEFLATED, GZIP_FORMAT)
        self._sha256 = hashlib.sha256()
        self._waiting = bytearray()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """Compress and write more data."""
        self._waiting += data
        while len(self._waiting) >= CHUNK_BYTES:
            with memoryview(self._waiting)[:CHUNK_BYTES] as piece:
                self._append(self._compressor.compress(piece))
            del self._waiting[:CHUNK_BYTES]

    def finish(self) -> str:
        """Write the rest and sync it to the disk; return the digest of the file."""
        self._append(self._compressor.compress(self._waiting) + self._compressor.flush())
        os.fsync(self._fd)
        return f"sha256:{self._sha256.hexdigest()}"

    def close(self) -> None:
        """Close the file, finished or not."""
        os.close(self._fd)

    def _append(self, compressed: bytes) -> None:
        write_all(self._fd, compressed)
        self._sha256.update(compressed)
        self.size_bytes += len(compressed)
