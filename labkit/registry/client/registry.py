"""One registry: requests that survive busy servers, broken connections and expired tokens."""

import email.utils
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import msgspec

from labkit.dialect.unreadable import UNREADABLE
from labkit.registry.client.auth import Authorizer, Scopes
from labkit.registry.client.challenges import parse
from labkit.registry.client.credentials import ANONYMOUS, Credentials
from labkit.registry.client.endpoints import Endpoint
from labkit.registry.client.errors import (
    RegistryError,
    StoppedError,
    UnreachableError,
    refusal,
    unreachable,
)
from labkit.registry.client.transport import Transport, joined, read_whole

TRIES = 5
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
BUSY = (408, 429, 500, 502, 503, 504)
"""Answers after which the same request may succeed."""

Source = Callable[[], Iterable[bytes]] | bytes | None
"""The body to send; a function, because it is called again for each try."""


class _Wish(NamedTuple):
    """A request to send, once or several times."""

    method: str
    url: httpx.URL
    scopes: Scopes
    headers: Mapping[str, str]
    source: Source
    expected: Collection[int]


class Patience:
    """Counts failures in a row, and waits longer after each."""

    def __init__(self, stop: threading.Event, tries: int = TRIES) -> None:
        self._stop = stop
        self._tries = tries
        self._failures = 0

    def has_ended(self) -> bool:
        """Count a failure; return whether to give up."""
        self._failures += 1
        return self._failures >= self._tries

    def renew(self) -> None:
        """Reset the count after progress."""
        self._failures = 0

    def wait(self, asked_s: float | None = None) -> None:
        """Pause; `asked_s` is the server's wish.  StoppedError."""
        pause_s = FIRST_PAUSE_S * 2**self._failures * random.uniform(0.5, 1)  # noqa: S311 no secret
        if self._stop.wait(min(asked_s if asked_s is not None else pause_s, LONGEST_PAUSE_S)):
            raise StoppedError("stopped")


class Registry:
    """A registry's endpoint with credentials; several threads may use it.

    `stop` ends all that is in progress, with `StoppedError`.  Use it in a `with` block.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials = ANONYMOUS,
        stop: threading.Event | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.stop = stop or threading.Event()
        self._transport = Transport(endpoint)
        self._authorizer = Authorizer(self._transport, credentials)

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *exception: object) -> None:
        self._transport.close()

    def connect(self) -> None:
        """Check that a registry answers, and learn its challenge (`GET /v2/`).

        Raises `UnreachableError` at once if none answers, `RegistryError` if it refuses.
        """
        url = self.url("/v2/")
        response, data = self._transport.fetch("GET", url, {})
        if response.status_code == 401:
            self._authorizer.learn(parse(response.headers.get_list("WWW-Authenticate")))
        elif response.status_code not in (200, 404, *BUSY):  # 404: some have nothing at the root
            raise refusal(response, data)

    def log_in(self) -> str:
        """Try the credentials; return an identity token to replace the password, or "".

        Raises `RegistryError` if they are wrong.
        """
        self.connect()
        identity_token = self._authorizer.log_in()
        with self.open("GET", self.url("/v2/")) as response:
            read_whole(response)
        return identity_token

    def url(self, path: str, query: Mapping[str, str] | None = None) -> httpx.URL:
        """Return an address at this endpoint."""
        return httpx.URL(f"{self.endpoint.url}{path}", params=query or None)

    @contextmanager
    def open(
        self,
        method: str,
        url: httpx.URL,
        *,
        scopes: Scopes = (),
        headers: Mapping[str, str] | None = None,
        source: Source = None,
        expected: Collection[int] = (200,),
        patience: Patience | None = None,
    ) -> Iterator[httpx.Response]:
        """Send a request until it is answered; return an expected response before its body.

        Raises `RegistryError` for another one, `UnreachableError`.  Reading the body may raise
        httpx.TransportError.
        """
        wish = _Wish(method, url, scopes, headers or {}, source, expected)
        response = self._exchange(wish, patience or Patience(self.stop))
        try:
            yield response
        finally:
            response.close()

    def document(
        self, url: httpx.URL, kind: type[Any], scopes: Scopes = ()
    ) -> tuple[Any, httpx.Response]:
        """Return a small JSON document, decoded, and its response."""
        with self.open("GET", url, scopes=scopes) as response:
            data = self.whole(response)
        try:
            return msgspec.json.decode(data, type=kind), response
        except UNREADABLE as error:
            where = url.copy_with(query=None)
            raise RegistryError(200, "", f"{where} sent an invalid answer: {error}") from None

    def whole(self, response: httpx.Response) -> bytes:
        """Return the rest of a small answer; UnreachableError."""
        try:
            return read_whole(response)
        except httpx.TransportError as error:
            raise unreachable(self.endpoint.url, error) from error

    def _exchange(self, wish: _Wish, patience: Patience) -> httpx.Response:
        authorization = self._authorizer.header(wish.scopes)
        renewed = False
        while True:
            if self.stop.is_set():
                raise StoppedError("stopped")
            given = (
                {**wish.headers, "Authorization": authorization} if authorization else wish.headers
            )
            content = wish.source() if callable(wish.source) else wish.source
            try:
                response = self._transport.send(wish.method, wish.url, given, content)
                if response.status_code in wish.expected:
                    return response
                body = b"" if wish.method == "HEAD" else read_whole(response)
                response.close()
            except httpx.TransportError as error:
                if patience.has_ended():
                    raise unreachable(self.endpoint.url, error) from error
                patience.wait()
                continue
            if response.status_code == 401 and not renewed:
                # A token has expired, or the registry requires one for this request alone.
                renewed = True
                self._authorizer.learn(parse(response.headers.get_list("WWW-Authenticate")))
                authorization = self._authorizer.header(wish.scopes, refused=authorization)
                continue
            if response.status_code not in BUSY or patience.has_ended():
                raise refusal(response, body)
            patience.wait(retry_after_s(response.headers.get("Retry-After", "")))

    def follow(self, response: httpx.Response) -> httpx.URL:
        """Return the address in an answer's `Location`; UnreachableError if there is none."""
        target = response.headers.get("Location", "")
        if not target:
            raise UnreachableError(f"{self.endpoint.url} names no next address (no Location)")
        return joined(response.url, target)


def retry_after_s(text: str) -> float | None:
    """Return the pause that `Retry-After` asks for, in seconds; None if none (RFC 9110)."""
    if text.isascii() and text.isdigit():
        return float(text[:6])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(moment.timestamp() - time.time(), 0.0)
