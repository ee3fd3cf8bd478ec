"""JSON with field names in any case, as Go reads it: `{"image": …}` sets the field `Image`.

Some clients are written by hand, and Docker's engine accepts their spelling.  Names within a map,
such as labels, are the user's and stay as they are.
"""

import types
import typing
from collections.abc import Mapping
from functools import cache

import msgspec

Json = object


@cache
def _fields(model: type[msgspec.Struct]) -> Mapping[str, tuple[str, object]]:
    """A struct's fields by their names in lower case, each with the right name and the type."""
    found = msgspec.structs.fields(model)
    return {field.encode_name.lower(): (field.encode_name, field.type) for field in found}


@cache
def _parts(kind: object) -> tuple[object, ...]:
    """The types that a union allows; for any other type, the type itself."""
    is_union = typing.get_origin(kind) in (types.UnionType, typing.Union)
    return typing.get_args(kind) if is_union else (kind,)


def spelled(value: Json, model: object) -> Json:
    """Return `value` with the field names of `model`; of a repeated field the last value counts."""
    for kind in _parts(model):
        if isinstance(value, dict) and _is_struct(kind):
            return _spelled_fields(value, typing.cast("type[msgspec.Struct]", kind))
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if isinstance(value, dict) and origin is dict:
            return {name: spelled(inner, arguments[1]) for name, inner in value.items()}
        if isinstance(value, list) and origin is list:
            return [spelled(inner, arguments[0]) for inner in value]
    return value


def names(value: dict[str, Json], known: typing.Iterable[str]) -> dict[str, Json]:
    """Correct only the names of the object itself, by a list of known names."""
    meant = {name.lower(): name for name in known}
    return {meant.get(name.lower(), name): inner for name, inner in value.items()}


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _spelled_fields(value: dict[str, Json], model: type[msgspec.Struct]) -> dict[str, Json]:
    fields = _fields(model)
    found = {}
    for name, inner in value.items():
        meant, kind = fields.get(name.lower(), (name, None))
        found[meant] = spelled(inner, kind)
    return found
