"""The keys that leave a terminal are seen, in one piece or in several."""

import pytest

from labkit.client.detach import DetachWatch
from labkit.errors import InvalidParameterError


@pytest.mark.parametrize(
    ("keys", "typed", "left"),
    [
        ("", [b"\x10\x11"], True),
        ("", [b"abc\x10", b"\x11"], True),
        ("", [b"\x10\x11", b"more"], True),
        ("", [b"\x10x\x11"], False),
        ("", [b"\x11\x10"], False),
        ("ctrl-x,x", [b"\x18x"], True),
        ("ctrl-x,x", [b"\x10\x11"], False),
        ("a", [b"ba"], True),
        ("ctrl-@,ctrl-[,ctrl-_,DEL", [b"\x00\x1b", b"\x1f\x7f"], True),
    ],
)
def test_keys(keys: str, typed: list[bytes], left: bool) -> None:
    watch = DetachWatch(keys)
    for piece in typed:
        watch.see(piece)
    assert watch.has_left is left


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-1", "ab", "ctrl-p,", "é"])
def test_keys_that_are_none(keys: str) -> None:
    with pytest.raises(InvalidParameterError, match="Invalid detach keys"):
        DetachWatch(keys)
