"""Sizes are read and shown as Docker does."""

import pytest

from labkit.dialect.sizes import human_size, parse_size
from labkit.errors import InvalidParameterError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1048576),
        ("200m", 200 << 20),
        ("200M", 200 << 20),
        ("30mb", 30 << 20),
        ("30 MB", 30 << 20),
        ("1.5g", 3 << 29),
        ("64KiB", 65536),
        ("32b", 32),
        ("1t", 1 << 40),
        (".5k", 512),
        ("-1", -1),
    ],
)
def test_parse(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "m", "1x", "1mm", "1ib", "-2", "-5m", "1.2.3m", "0x10", "1e3"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        parse_size(text)
    assert str(caught.value) == f"invalid size: '{text}'"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (4_262_000, "4.26MB"),
        (117_300_000, "117MB"),
        (999_900, "1MB"),
        (1_500_000_000, "1.5GB"),
    ],
)
def test_human(size: int, text: str) -> None:
    assert human_size(size) == text
