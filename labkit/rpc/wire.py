"""Protocol buffers' wire format: a message is a list of numbered fields.

A message is declared as a `Struct` whose fields have numbers:

    class Stat(Struct):
        path: Annotated[bytes, 1] = b""
        mode: Annotated[int, 2] = 0

Each field on the wire is a key, `number << 3 | kind`, and a value: a number of variable length
(kind 0), or a length and that many bytes (kind 2).  A field that is zero or empty is left out.
Unknown fields are skipped, so a declaration names only the fields that are used.
Source: https://protobuf.dev/programming-guides/encoding/

labkit has its own code for this, because names of files are bytes, which the library refuses in a
field that its schema calls a string; and because generated code cannot be read.
"""

import struct
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from labkit.errors import InvalidParameterError

Struct = msgspec.Struct
Message = TypeVar("Message", bound=Struct)

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_VARINT_MAX_BYTES = 10
_SIGN = 1 << 63
_WORD = 1 << 64


class WireError(InvalidParameterError):
    """The bytes are not a valid message of this kind."""


class _Field(NamedTuple):
    """The writer and the reader of one field."""

    name: str
    number: int
    kind: int
    encode: Callable[[Any], bytes]
    decode: Callable[[Any], Any]
    collects: str
    """`list` or `dict` for a field that repeats; empty for any other."""


def encode(message: Struct) -> bytes:
    """Return a message's bytes."""
    parts: list[bytes] = []
    for field in _fields(type(message)):
        value = getattr(message, field.name)
        if not value and not isinstance(value, Struct):
            continue
        if field.collects == "dict":
            values = list(value.items())
        else:
            values = value if field.collects else [value]
        key = _varint(field.number << 3 | field.kind)
        for each in values:
            encoded = field.encode(each)
            parts += (
                (key, encoded) if field.kind != BYTES else (key, _varint(len(encoded)), encoded)
            )
    return b"".join(parts)


def decode(kind: type[Message], data: bytes) -> Message:
    """Return the message in these bytes; WireError."""
    try:
        return _decode(kind, data)
    except (IndexError, UnicodeDecodeError, struct.error):
        raise WireError(f"a damaged {kind.__name__} message") from None


def _decode(kind: type[Message], data: bytes) -> Message:
    by_key, values = _by_key(kind), {}
    at, end = 0, len(data)
    value: Any
    while at < end:
        key = data[at]
        at += 1
        if key > 0x7F:
            key, at = _read_varint(data, at - 1)
        wire = key & 7
        if wire == VARINT:
            value, at = _read_varint(data, at)
        elif wire == BYTES:
            size, at = _read_varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            value, at = data[at : at + size], at + size
        else:
            raise WireError(f"a {kind.__name__} message has a field of kind {wire}")
        if at > end:
            raise WireError(f"a {kind.__name__} message ends in the middle of a field")
        field = by_key.get(key)
        if field is None:
            continue
        if not field.collects:
            values[field.name] = field.decode(value)
        elif field.collects == "list":
            values.setdefault(field.name, []).append(field.decode(value))
        else:
            name, held = field.decode(value)
            values.setdefault(field.name, {})[name] = held
    return kind(**values)


def _varint(number: int) -> bytes:
    """Return a number as groups of seven bits, the lowest first; all but the last set bit 7."""
    if number < 0:
        number += _WORD
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position, and the position after it."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift, first = byte & 0x7F, 7, at
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if at - first >= _VARINT_MAX_BYTES:
            raise WireError("a number has more than 10 bytes")
    return number & _WORD - 1, at + 1


def _signed(number: int) -> int:
    return number - _WORD if number & _SIGN else number


def _double(data: bytes) -> float:
    found: float = struct.unpack("<d", data)[0]
    return found


_SCALARS: dict[object, tuple[int, Callable[[Any], bytes], Callable[[Any], Any]]] = {
    int: (VARINT, _varint, _signed),
    bool: (VARINT, lambda value: b"\1" if value else b"\0", bool),
    float: (FIXED64, lambda value: struct.pack("<d", value), _double),
    bytes: (BYTES, bytes, bytes),
    str: (BYTES, lambda value: value.encode(), lambda value: value.decode()),
}


def _codec(kind: Any) -> tuple[int, Callable[[Any], bytes], Callable[[Any], Any]]:
    """Return kind on the wire, writer and reader of a field's type."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    return BYTES, encode, lambda data: _decode(kind, data)


@cache
def _fields(kind: type[Struct]) -> list[_Field]:
    """Return the fields of a declared message, by number."""
    found = []
    for name, hint in get_type_hints(kind, include_extras=True).items():
        declared, number = get_args(hint)
        assert get_origin(hint) is Annotated  # noqa: S101 the declaration's mistake
        inner = [part for part in get_args(declared) if part is not type(None)]
        origin = get_origin(declared)
        if origin is dict:
            found.append(_Field(name, number, BYTES, *_entries(inner[0], inner[1]), "dict"))
        else:
            codec = _codec(inner[0] if inner else declared)
            found.append(_Field(name, number, *codec, "list" if origin is list else ""))
    return sorted(found, key=lambda field: field.number)


def _entries(key: Any, value: Any) -> tuple[Callable[[Any], bytes], Callable[[Any], Any]]:
    """Return writer and reader of a map's entries: each is a message, key 1 and value 2."""
    entry = msgspec.defstruct(
        "Entry", [("key", Annotated[key, 1], key()), ("value", Annotated[value, 2], value())]
    )

    def read(data: bytes) -> tuple[Any, Any]:
        found: Any = _decode(entry, data)
        return found.key, found.value

    return lambda pair: encode(entry(*pair)), read


@cache
def _by_key(kind: type[Struct]) -> dict[int, _Field]:
    return {field.number << 3 | field.kind: field for field in _fields(kind)}
