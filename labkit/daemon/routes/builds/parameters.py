"""The parameters of `POST /build`, as Docker's classic API names them."""

import base64
from typing import TypeVar

import msgspec

from labkit.build.options import Options
from labkit.containers import HostConfig
from labkit.daemon.create_body import JsonObject, convert, refuse_not_yet
from labkit.daemon.errors import UnsupportedError
from labkit.daemon.requests import Query, Request
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.http.requests import decode_json
from labkit.images import platforms, references

SECRETS_HEADER = "x-labkit-build-secrets"
"""A header of labkit's: a JSON object of secrets by id, base64 in base64; Docker's classic API has
no field for them.  They are not in the query, since queries appear in logs."""
_T = TypeVar("_T")


_NUMBERS = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS = {
    "cpusetcpus": "CpusetCpus",
    "cpusetmems": "CpusetMems",
    "cgroupparent": "CgroupParent",
    "networkmode": "NetworkMode",
    "isolation": "Isolation",
}
"""The API's parameters, and the fields of a container's HostConfig for them."""


def options(request: Request) -> Options:
    """The options of a build; UnsupportedError, InvalidParameterError."""
    query = request.query
    if query.flag("squash"):
        raise UnsupportedError("labkit does not support squash")
    if query.text("securityopt"):
        raise UnsupportedError("labkit does not support security options of a build")
    tags = [tag for tag in query.texts("t") if tag]
    for tag in tags:
        references.parse_tag(tag)  # a bad name must fail before the build, not after it
    platforms.parse(query.text("platform"))
    labels = json_of(query, "labels", dict[str, str]) or {}
    if "" in labels:
        raise InvalidParameterError(f"invalid label '={labels['']}': empty name")
    return Options(
        dockerfile=query.text("dockerfile") or "Dockerfile",
        dockerfile_path=query.text("dockerfilepath"),
        is_context_whole=bool(query.text("remote")),
        tags=tags,
        build_args=json_of(query, "buildargs", dict[str, str | None]) or {},
        labels=labels,
        target=query.text("target"),
        platform=query.text("platform"),
        no_cache=query.flag("nocache"),
        pull=query.flag("pull"),
        cache_from=json_of(query, "cachefrom", list[str]) or [],
        host_config=_host_config(query),
        explain=query.flag("explaincache"),
        secret=_secrets(request).get,
    )


def _host_config(query: Query) -> HostConfig:
    body: JsonObject = {field: query.text(name) for name, field in _TEXTS.items()}
    body |= {field: query.integer(name) for name, field in _NUMBERS.items()}
    if query.text("extrahosts"):
        body["ExtraHosts"] = query.texts("extrahosts")
    if query.text("ulimits"):
        body["Ulimits"] = json_of(query, "ulimits", list[object])
    given = {name: value for name, value in body.items() if value}
    refuse_not_yet(given)
    return convert(given, HostConfig, "HostConfig.")


def json_of(query: Query, name: str, kind: type[_T]) -> _T | None:
    """The value of a JSON parameter; None if it is not given.  InvalidParameterError."""
    text = query.text(name)
    if text in ("", "null"):
        return None
    try:
        return msgspec.convert(decode_json(text.encode(), name), type=kind)
    except UNREADABLE as error:
        raise InvalidParameterError(f"{name} cannot be read: {error}") from None


def _secrets(request: Request) -> dict[str, bytes]:
    text = request.headers.get(SECRETS_HEADER)
    if not text:
        return {}
    try:
        return msgspec.json.decode(base64.b64decode(text), type=dict[str, bytes])
    except (*UNREADABLE, ValueError) as error:
        raise InvalidParameterError(f"the secrets cannot be read: {error}") from None
