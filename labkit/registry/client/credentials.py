"""The credentials for a registry: those of `docker login`, and those of each request."""

import base64
import binascii
from typing import NamedTuple

import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError


class Credentials(NamedTuple):
    """A name and a password, or a token in their place.

    `identity_token` is a token service's answer to a login: it replaces the password there.
    `registry_token` is sent to the registry as it is.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def are_given(self) -> bool:
        """Whether there are any."""
        return bool(self.username or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """Return the value of `Authorization` with name and password (RFC 7617), "" without."""
        if not self.username:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode('ascii')}"


ANONYMOUS = Credentials()


class _AuthConfig(msgspec.Struct, rename="lower"):
    """The API's object of the same name; `auth` is `username:password` in base64."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identity_token: str = msgspec.field(default="", name="identitytoken")
    registry_token: str = msgspec.field(default="", name="registrytoken")
    server_address: str = msgspec.field(default="", name="serveraddress")


def from_json(data: bytes) -> tuple[Credentials, str]:
    """Return the credentials of an `AuthConfig` object, and their server ("" if it has none).

    Raises `InvalidParameterError` for anything else.
    """
    try:
        config = msgspec.json.decode(data or b"{}", type=_AuthConfig)
        username, password = config.username, config.password
        if config.auth and not username:
            pair = base64.b64decode(config.auth, validate=True).decode()
            username, _, password = pair.partition(":")
    except (*UNREADABLE, ValueError) as error:
        raise InvalidParameterError(f"the registry's credentials cannot be read: {error}") from None
    found = Credentials(username, password, config.identity_token, config.registry_token)
    return found, config.server_address


def from_header(text: str) -> Credentials:
    """Return the credentials in `X-Registry-Auth`: JSON in base64url, with padding or without.

    Raises `InvalidParameterError` for anything else.
    """
    return from_json(_decoded(text, "X-Registry-Auth"))[0] if text else ANONYMOUS


def from_config_header(text: str) -> dict[str, Credentials]:
    """Return the credentials for each server in `X-Registry-Config`, the header of a build.

    Raises `InvalidParameterError` for anything else.
    """
    if not text:
        return {}
    try:
        found = msgspec.json.decode(
            _decoded(text, "X-Registry-Config"), type=dict[str, msgspec.Raw]
        )
    except UNREADABLE as error:
        raise InvalidParameterError(f"X-Registry-Config cannot be read: {error}") from None
    return {server: from_json(bytes(entry))[0] for server, entry in found.items()}


def _decoded(text: str, header: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParameterError(f"{header} is not JSON in base64url") from None
