"""Multiplexed output comes apart the same however the network cuts it up."""

import random

import pytest

from labkit.dialect.frames import Demultiplexer, demultiplex
from tests.unit.client.stand_in import frame

STREAM = frame(1, b"out") + frame(2, b"err\n") + frame(1, b"") + frame(1, bytes(range(256)) * 300)


def joined(parts) -> dict[int, bytes]:
    streams: dict[int, bytes] = {}
    for stream, payload in parts:
        streams[stream] = streams.get(stream, b"") + payload
    return streams


EXPECTED = {1: b"out" + bytes(range(256)) * 300, 2: b"err\n"}


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 1000, 10**6])
def test_any_cut(size: int) -> None:
    pieces = [STREAM[i : i + size] for i in range(0, len(STREAM), size)]
    assert joined(demultiplex(pieces)) == EXPECTED


def test_random_cuts() -> None:
    cuts = random.Random(3)
    for _ in range(50):
        points = sorted(cuts.sample(range(len(STREAM)), 20))
        ends = [*points, len(STREAM)]
        pieces = [STREAM[a:b] for a, b in zip([0, *points], ends, strict=True)]
        assert joined(demultiplex(pieces)) == EXPECTED


def test_a_payload_is_passed_on_before_its_frame_is_whole() -> None:
    demultiplexer = Demultiplexer()
    assert list(demultiplexer.feed(frame(2, b"abcdef")[:10])) == [(2, b"ab")]
    assert list(demultiplexer.feed(b"cdef")) == [(2, b"cdef")]


def test_order_is_kept() -> None:
    stream = frame(1, b"1") + frame(2, b"2") + frame(1, b"3")
    assert list(demultiplex([stream])) == [(1, b"1"), (2, b"2"), (1, b"3")]
