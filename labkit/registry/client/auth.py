"""Authorisation: from a registry's challenge to the value of `Authorization`.

A registry answers 401 and names the scheme: `Basic`, name and password with each request, or
`Bearer`, a token from a token service for a *scope*, such as `repository:library/busybox:pull`
(distribution project, "Token Authentication Specification").
"""

import threading
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.registry.client.challenges import Challenge
from labkit.registry.client.credentials import Credentials
from labkit.registry.client.errors import RegistryError, UnreachableError, refusal
from labkit.registry.client.transport import Transport

CLIENT_ID = "labkit"
SHORTEST_LIFE_S = 60.0
"""The life of a token without `expires_in`, and the least that a client may rely on."""
MARGIN_S = 10.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Scopes = tuple[str, ...]


class _Answer(msgspec.Struct):
    """The token service's answer; the two names mean the same, by two standards."""

    token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    expires_in: float = 0


class _Token(NamedTuple):
    value: str
    ends_at: float


class Authorizer:
    """Knows the challenge and the tokens of one endpoint; several threads may use it."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self.credentials = credentials
        self._transport = transport
        self._challenge: Challenge | None = None
        self._tokens: dict[Scopes, _Token] = {}
        self._lock = threading.Lock()

    def learn(self, challenges: Sequence[Challenge]) -> None:
        """Note the registry's challenge; of several kinds the token, which shows no password."""
        known = [found for found in challenges if found.scheme in ("bearer", "basic")]
        known.sort(key=lambda found: found.scheme != "bearer")
        self._challenge = known[0] if known else None

    def header(self, scopes: Scopes, *, refused: str = "") -> str:
        """Return the value of `Authorization` for these scopes, "" if none is needed.

        `refused` is a value that the registry has just refused: a token of that value is not used
        again.  Raises `RegistryError` if the token service refuses.
        """
        if self._challenge is None:
            return ""
        if self.credentials.registry_token:
            return f"Bearer {self.credentials.registry_token}"
        if self._challenge.scheme == "basic":
            return self._basic(httpx.URL(self._transport.endpoint.url))
        with self._lock:  # other threads with the same scopes wait for the token
            token = self._tokens.get(scopes)
            if not token or token.ends_at < time.monotonic() or refused == f"Bearer {token.value}":
                answer = self._ask(self._challenge, scopes)
                life_s = max(answer.expires_in, SHORTEST_LIFE_S) - MARGIN_S
                token = _Token(answer.access_token or answer.token, time.monotonic() + life_s)
                self._tokens[scopes] = token
        return f"Bearer {token.value}"

    def log_in(self) -> str:
        """Ask for a token with the credentials; return an identity token, if there is one.

        Raises `RegistryError` if the credentials are wrong.
        """
        if self._challenge is None or self._challenge.scheme == "basic":
            return ""
        return self._ask(self._challenge, (), offline=True).refresh_token

    def _basic(self, url: httpx.URL) -> str:
        """Return name and password for `url`; never for a connection without encryption."""
        secret = self.credentials.basic
        plain = url.scheme != "https" and not self._transport.is_own(url)
        if (secret or self.credentials.identity_token) and plain:
            raise UnreachableError(
                f"{self._transport.endpoint.host} wants the password sent to {url.host} without "
                "encryption, which labkit does not do. Tell its administrator"
            )
        return secret

    def _ask(self, challenge: Challenge, scopes: Scopes, *, offline: bool = False) -> _Answer:
        """Get a token from the token service that the challenge names (its realm)."""
        realm = self._realm(challenge)
        fields = [("service", challenge.parameters.get("service", ""))]
        fields += [("scope", scope) for scope in scopes or self._wanted(challenge)]
        basic = self._basic(realm)
        if self.credentials.identity_token:
            content = [("grant_type", "refresh_token"), ("client_id", CLIENT_ID)]
            content += [*_joined_scopes(fields)]
            content += [("refresh_token", self.credentials.identity_token)]
            body = urlencode(content).encode()
            response, data = self._transport.fetch("POST", realm, FORM, body)
        else:
            if basic:
                fields.append(("account", self.credentials.username))
            if offline:
                fields += [("client_id", CLIENT_ID), ("offline_token", "true")]
            url = realm.copy_merge_params(httpx.QueryParams(tuple(fields)))
            headers = {"Authorization": basic} if basic else {}
            # The service may be another host, which the registry has named.
            response, data = self._transport.fetch("GET", url, headers, home=realm)
        if response.status_code != 200:
            raise refusal(response, data)
        return _decoded(data, realm)

    def _realm(self, challenge: Challenge) -> httpx.URL:
        text = challenge.parameters.get("realm", "")
        try:
            realm = httpx.URL(text)
        except httpx.InvalidURL:
            realm = httpx.URL()
        if realm.scheme not in ("http", "https") or not realm.host:
            raise UnreachableError(
                f"{self._transport.endpoint.host} asks for a token of {text[:200]!r}, which is not "
                "the address of a token service. Tell its administrator"
            )
        return realm

    def _wanted(self, challenge: Challenge) -> list[str]:
        return challenge.parameters.get("scope", "").split()


def _joined_scopes(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Join the scopes in one field for a form (RFC 6749 §3.3); a query has one field each."""
    scopes = " ".join(value for name, value in fields if name == "scope")
    others = [field for field in fields if field[0] != "scope"]
    return [*others, ("scope", scopes)] if scopes else others


def _decoded(data: bytes, realm: httpx.URL) -> _Answer:
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except UNREADABLE:
        answer = _Answer()
    token = answer.access_token or answer.token
    if not token or not token.isascii() or not token.isprintable():
        raise RegistryError(200, "", f"the token service at {realm.host} gave no token")
    return answer
