"""What a judge reads of an image: in pieces, up to a bound, and into what is compressed."""

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.course.exercises.check import judge
from labkit.course.exercises.ex06 import _content
from labkit.course.exercises.exercise import Exercise
from labkit.course.exercises.finding import TooLargeError
from labkit.course.exercises.looks import images

SECRET = b"key-123456789012"
MIB = 1 << 20


class Engine:
    """Answers `save` with an archive, in pieces of an odd size."""

    def __init__(self, archive: bytes) -> None:
        self.api = self
        self._archive = archive

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        for at in range(0, len(self._archive), 977):
            yield self._archive[at : at + 977]


def saved(*blobs: bytes) -> Any:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number, blob in enumerate(blobs):
            member = tarfile.TarInfo(f"blobs/{number}")
            member.size = len(blob)
            tar.addfile(member, io.BytesIO(blob))
    return Engine(packed.getvalue())


@pytest.mark.parametrize(
    "blob",
    [
        SECRET,
        b"x" * (images.PIECE_BYTES - 5) + SECRET,
        gzip.compress(b"x" * 300_000 + SECRET + b"y" * 300_000),
        gzip.compress(b"x") + gzip.compress(SECRET),
    ],
    ids=["plain", "across two pieces", "packed", "in a second part"],
)
def test_a_text_is_found_wherever_a_reader_would_find_it(blob: bytes) -> None:
    assert images.has_text(saved(b"other", blob), "image", SECRET)
    assert not images.has_text(saved(b"other", blob), "image", b"key-000000000000")


def test_damage_in_what_is_packed_is_no_fault() -> None:
    assert not images.has_text(saved(images.GZIP + b"no gzip"), "image", SECRET)


def test_what_is_packed_a_thousandfold_is_read_up_to_the_bound_in_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 8 * MIB)
    bomb = saved(gzip.compress(bytes(64 * MIB), 1))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            images.has_text(bomb, "image", SECRET)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_an_archive_that_unpacks_to_more_than_the_bound_is_not_unpacked() -> None:
    layer = gzip.compress(bytes(64 * MIB), 1)
    manifest = b'[{"Config": "config", "Layers": ["layer"]}]'
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in (("manifest.json", manifest), ("config", b"{}"), ("layer", layer)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    memo = {"id": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
    with pytest.raises(TooLargeError):
        _content(packed.getvalue(), memo | {"layers": []})


def test_what_is_too_large_has_no_points_and_is_no_fault_of_the_machine() -> None:
    def look(*_: Any) -> Any:
        raise TooLargeError("an image of more than 256 MiB")

    huge = Exercise("99.1", "Huge", "", 7, lambda dice: {"name": dice.name("x")}, look)
    place: Any = None
    (finding,) = judge(huge, place, "ann", {})
    assert (finding.points, finding.earned) == (7, 0)
    assert "256 MiB" in finding.found
