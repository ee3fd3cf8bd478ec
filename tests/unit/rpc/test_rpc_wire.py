"""Messages as bytes: the examples of protocol buffers' own page, and what is damaged."""

import contextlib
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.rpc import wire


class Inner(msgspec.Struct):
    name: Annotated[bytes, 1] = b""


class Everything(msgspec.Struct):
    number: Annotated[int, 1] = 0
    text: Annotated[str, 2] = ""
    inner: Annotated[Inner | None, 3] = None
    is_so: Annotated[bool, 4] = False
    names: Annotated[list[str], 5] = []
    inners: Annotated[list[Inner], 6] = []
    mapped: Annotated[dict[str, bytes], 100] = {}
    ratio: Annotated[float, 7] = 0.0


def test_the_examples_of_the_encoding_s_page() -> None:
    assert wire.encode(Everything(number=150)) == bytes.fromhex("089601")
    assert wire.encode(Everything(text="testing")) == bytes.fromhex("120774657374696e67")
    assert wire.encode(Everything(inner=Inner(b"x"))) == b"\x1a\x03\x0a\x01x"
    assert wire.encode(Everything(number=-2)) == b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"


def test_an_empty_message_within_is_there_and_a_zero_is_not() -> None:
    assert wire.encode(Everything(inner=Inner())) == b"\x1a\x00"
    assert wire.decode(Everything, b"\x1a\x00").inner == Inner()
    assert wire.encode(Everything()) == b""
    assert wire.decode(Everything, b"").inner is None


@given(
    st.builds(
        Everything,
        number=st.integers(-(1 << 63), (1 << 63) - 1),
        text=st.text(),
        inner=st.none() | st.builds(Inner, st.binary()),
        is_so=st.booleans(),
        names=st.lists(st.text()),
        inners=st.lists(st.builds(Inner, st.binary())),
        mapped=st.dictionaries(st.text(), st.binary()),
        ratio=st.floats(allow_nan=False).filter(bool),
    )
)
def test_what_is_written_is_read_again(message: Everything) -> None:
    assert wire.decode(Everything, wire.encode(message)) == message


def test_unknown_fields_of_every_kind_are_skipped() -> None:
    unknown = b"\xf8\x07\x05" + b"\xfa\x07\x02ab" + b"\xf9\x07" + bytes(8) + b"\xfd\x07" + bytes(4)
    assert wire.decode(Everything, unknown + b"\x08\x01" + unknown).number == 1


def test_names_are_bytes_that_need_be_no_text() -> None:
    assert wire.decode(Inner, b"\x0a\x01\xff").name == b"\xff"


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x12\x05ab",
        b"\x0b",
        b"\x08" + b"\xff" * 11,
        b"\x12\x01\xff",
        b"\x80",
        b"\x3d\x01",
    ],
)
def test_damaged_messages_are_refused(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(Everything, data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.decode(Everything, data)
