"""The body of `POST /containers/create`: Docker's JSON to labkit's models.

Docker's clients send every field, most of them empty.  If labkit does not support a field yet, the
value decides: a neutral one is accepted, any other is refused with the field's name and never
ignored.  Fields that Docker's API does not know are ignored, as in Docker.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar, cast

import msgspec

from labkit.containers import ContainerConfig, HostConfig
from labkit.daemon import letter_case
from labkit.daemon.errors import UnsupportedError
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.networks import EndpointConfig

JsonObject = dict[str, object]
Model = TypeVar("Model")

_OBJECTS = ("HostConfig", "NetworkingConfig", "Labkit")
LARGEST_NUMBER = 2**63 - 1


def _is_empty(value: object) -> bool:
    """Whether a value is its type's zero in Go, which clients send for an unset field."""
    return value is None or value in ("", 0, False, [], {})


def _one_of(*words: object) -> Callable[[object], bool]:
    return lambda value: _is_empty(value) or value in words


def _says_nothing(_: object) -> bool:
    return True


class NotYet(NamedTuple):
    """A field of Docker's that labkit does not support yet."""

    shown: object
    """The value that `inspect` shows for it."""
    is_neutral: Callable[[object], bool] = _is_empty
    """Whether a value asks for no more than labkit does anyway."""
    why: str = ""
    """The reason for the refusal; empty if there is no more to say than that it is unsupported."""


HOST_CONFIG_NOT_YET: Mapping[str, NotYet] = {
    "Cgroup": NotYet(""),
    # Docker's engine only records the path; the client writes the id there.
    "ContainerIDFile": NotYet("", _says_nothing),
    "CpuCount": NotYet(0),
    "CpuPercent": NotYet(0),
    "CpuRealtimePeriod": NotYet(0),
    "CpuRealtimeRuntime": NotYet(0),
    "DeviceRequests": NotYet(
        None,
        why="could not select device driver: labkit gives devices by --device alone, not by "
        "--gpus or what a driver offers",
    ),
    "IOMaximumBandwidth": NotYet(0),
    "IOMaximumIOps": NotYet(0),
    "Isolation": NotYet("", _one_of("default")),
    # Docker has ignored both since version 23: the kernel has no such limit any more.
    "KernelMemory": NotYet(0, _says_nothing),
    "KernelMemoryTCP": NotYet(0, _says_nothing),
    "StorageOpt": NotYet(
        None,
        why="--storage-opt is supported only for overlay over xfs with 'pquota' mount option: "
        "labkit limits no container's disk space",
    ),
}

CONFIG_NOT_YET: Mapping[str, NotYet] = {
    # For a builder; clients copy these from an image's configuration.
    "OnBuild": NotYet(None, _says_nothing),
    "Shell": NotYet(None, _says_nothing),
}


class CreateBody(NamedTuple):
    """The content of a create request."""

    config: ContainerConfig
    host_config: HostConfig
    without: list[str]
    """The steps to leave out, from labkit's own `{"Labkit": {"Without": […]}}`."""
    endpoints: dict[str, EndpointConfig]
    """The settings on each network, by its name or id."""


class _Networking(msgspec.Struct, rename="pascal"):
    endpoints_config: dict[str, EndpointConfig] = msgspec.field(default_factory=dict)


class _LabkitPart(msgspec.Struct, forbid_unknown_fields=True):
    without: list[str] = msgspec.field(default_factory=list, name="Without")


def decode(body: JsonObject) -> CreateBody:
    """Read the models from a request's body.

    Raises:
        InvalidParameterError: a field has the wrong type.
        UnsupportedError: a field asks for something that labkit does not support; it is named.
    """
    if not body:
        raise InvalidParameterError("Config cannot be empty in order to create a container")
    body = letter_case.names(body, (*_OBJECTS, *CONFIG_NOT_YET))
    host_body = letter_case.names(_object(body, "HostConfig"), HOST_CONFIG_NOT_YET)
    refuse_not_yet(host_body)
    _refuse_not_yet(body, CONFIG_NOT_YET, "")
    networking = convert(_object(body, "NetworkingConfig"), _Networking, "NetworkingConfig.")
    config = convert(body, ContainerConfig, "")
    host_config = convert(host_body, HostConfig, "HostConfig.")
    labkit_part = convert(_object(body, "Labkit"), _LabkitPart, "Labkit.")
    return CreateBody(config, host_config, labkit_part.without, networking.endpoints_config)


def _object(body: JsonObject, name: str) -> JsonObject:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidParameterError(f"{name} must be a JSON object")
    return value


def convert(body: JsonObject, model: type[Model], prefix: str) -> Model:
    """Read `body` as the model; null means unset, as in Docker's engine."""
    given = cast("JsonObject", letter_case.spelled(_without_nulls(body), model))
    for name, value in given.items():
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            raise InvalidParameterError(f"{prefix}{name}: {value} does not fit in 64 bits")
    try:
        return msgspec.convert(given, model)
    except UNREADABLE as error:
        what, _, where = str(error).partition(" - at `$")
        field = where.strip("`").removeprefix(".")
        named = f"{prefix}{field}: " if field else ""
        raise InvalidParameterError(f"{named}{what}") from None


def refuse_not_yet(host_body: JsonObject) -> None:
    """UnsupportedError if a field of a HostConfig asks for something unsupported."""
    _refuse_not_yet(host_body, HOST_CONFIG_NOT_YET, "HostConfig.")


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _refuse_not_yet(body: JsonObject, table: Mapping[str, NotYet], prefix: str) -> None:
    for name, value in body.items():
        field = table.get(name)
        if field is not None and not (value is None or field.is_neutral(value)):
            raise UnsupportedError(field.why or f"labkit does not support {prefix}{name} yet")
