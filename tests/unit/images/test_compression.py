"""Streams that come in compressed: recognised by their content, refused when broken."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
from pathlib import Path

import pytest
import zstandard

from labkit.errors import InvalidParameterError
from labkit.images.archives.compression import GzipBlob, plain_chunks

PLAIN = os.urandom(300_000) + bytes(700_000)
COMPRESSED = {
    "plain": PLAIN,
    "gzip": gzip.compress(PLAIN),
    "gzip in two members": gzip.compress(PLAIN[:1000]) + gzip.compress(PLAIN[1000:]),
    "zstd": zstandard.compress(PLAIN),
    "zstd in two frames": zstandard.compress(PLAIN[:1000]) + zstandard.compress(PLAIN[1000:]),
    "bzip2": bz2.compress(PLAIN),
    "xz": lzma.compress(PLAIN),
}


class Trickle(io.BytesIO):
    """A stream that gives little at a time, as a network does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 777))


@pytest.mark.parametrize("kind", COMPRESSED)
def test_every_format_gives_the_plain_bytes(kind: str) -> None:
    assert b"".join(plain_chunks(Trickle(COMPRESSED[kind]))) == PLAIN


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_a_stream_that_is_cut_short_is_refused(kind: str) -> None:
    data = COMPRESSED[kind][: len(COMPRESSED[kind]) * 2 // 3]
    with pytest.raises(InvalidParameterError, match="damaged or cut short"):
        b"".join(plain_chunks(io.BytesIO(data)))


@pytest.mark.parametrize("kind", ["gzip", "zstd", "bzip2", "xz"])
def test_a_stream_with_wrong_bytes_is_refused(kind: str) -> None:
    for seed in range(50):
        noise = random.Random(seed)
        data = bytearray(COMPRESSED[kind])
        data[len(data) // 2 : len(data) // 2 + 64] = noise.randbytes(64)
        data[-12:] = noise.randbytes(12)
        with pytest.raises(InvalidParameterError, match="damaged or cut short"):
            b"".join(plain_chunks(io.BytesIO(bytes(data))))


def test_a_gzip_stream_whose_sum_is_wrong_is_refused() -> None:
    """All of it can be unpacked; only the checksum at the end tells that it is not what it was."""
    data = bytearray(COMPRESSED["gzip"])
    data[-8] ^= 1
    with pytest.raises(InvalidParameterError, match="damaged or cut short"):
        b"".join(plain_chunks(io.BytesIO(bytes(data))))


def test_an_error_of_the_stream_itself_is_not_hidden() -> None:
    class Gone(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        b"".join(plain_chunks(Gone()))


def test_a_blob_is_a_gzip_file_with_the_digest_it_says(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    blob = GzipBlob(str(path))
    blob.write(PLAIN[:10])
    blob.write(PLAIN[10:])
    digest = blob.finish()
    blob.close()
    data = path.read_bytes()
    assert gzip.decompress(data) == PLAIN
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert blob.size_bytes == len(data) < len(PLAIN)


@pytest.mark.parametrize("piece_bytes", [1000, 65_536, 100_001, 1 << 18, 1 << 20])
def test_the_same_bytes_make_the_same_file_in_any_pieces(tmp_path, piece_bytes):
    data = random.Random(7).randbytes(50_000) * 20 + bytes(300_000)
    digests = []
    for name, size in (("whole", len(data)), ("pieces", piece_bytes)):
        blob = GzipBlob(str(tmp_path / name))
        for begin in range(0, len(data), size):
            blob.write(data[begin : begin + size])
        digests.append(blob.finish())
        blob.close()
        assert gzip.decompress((tmp_path / name).read_bytes()) == data
    assert digests[0] == digests[1]
