"""A request of the Docker API: an HTTP request with the API's version at the start of its path."""

import re
from typing import TypeVar

import msgspec

from labkit import API_VERSION
from labkit.daemon.responses import MINIMUM_API_VERSION
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError
from labkit.http import requests
from labkit.http.requests import Query, decode_json

__all__ = ["Query", "Request", "Version", "json_of"]

_T = TypeVar("_T")

VERSIONED = re.compile(r"/v(\d{1,3})\.(\d{1,3})(/.*)")

Version = tuple[int, int]


def version_of(text: str) -> Version:
    """`1.47` as a pair of numbers, which can be compared."""
    major, minor = text.split(".")
    return int(major), int(minor)


NEWEST = version_of(API_VERSION)
OLDEST = version_of(MINIMUM_API_VERSION)


class Request(requests.Request):
    """The request `asked`; its `path` is without the version, which defaults to the newest one.

    Raises:
        InvalidParameterError: the version is too old or too new.
    """

    def __init__(self, asked: requests.Request) -> None:
        self.version, path = _version(asked.path)
        super().__init__(
            asked.method,
            asked.target,
            path,
            query=asked.query,
            headers=asked.headers,
            body=asked.body,
            connection=asked.connection,
            speaks_chunked=asked.speaks_chunked,
            keep_alive=asked.keep_alive,
        )


def _version(path: str) -> tuple[Version, str]:
    """The API version at the start of a path, and the rest of the path."""
    match = VERSIONED.fullmatch(path)
    if match is None:
        return NEWEST, path
    version = int(match[1]), int(match[2])
    asked = f"client version {version[0]}.{version[1]}"
    if version > NEWEST:
        raise InvalidParameterError(
            f"{asked} is too new. Maximum supported API version is {API_VERSION}"
        )
    if version < OLDEST:
        raise InvalidParameterError(
            f"{asked} is too old. Minimum supported API version is {MINIMUM_API_VERSION}, "
            "please upgrade your client to a newer version"
        )
    return version, match[3]


def json_of(query: Query, name: str, kind: type[_T]) -> _T | None:
    """The value of a JSON parameter; None if it is not given.  InvalidParameterError."""
    text = query.text(name)
    if text in ("", "null"):
        return None
    try:
        return msgspec.convert(decode_json(text.encode(), name), type=kind)
    except UNREADABLE as error:
        raise InvalidParameterError(f"{name} cannot be read: {error}") from None
