"""HTTP for registries: streams both ways, and redirects that carry no secrets to other hosts.

Nothing is retried here; `labkit.registry.client.registry` does that.
"""

import ssl
from collections.abc import Iterable, Mapping
from functools import cache

import httpx

import labkit
from labkit.dialect import trust
from labkit.errors import InvalidParameterError
from labkit.registry.client.endpoints import Endpoint
from labkit.registry.client.errors import UnreachableError, unreachable

REDIRECT_LIMIT = 5
REDIRECTS = (301, 302, 303, 307, 308)
CONNECT_TIMEOUT_S = 15.0
SILENCE_TIMEOUT_S = 60.0
"""How long the other side may be silent, or read nothing, in the middle of an exchange."""
BODY_LIMIT_BYTES = 4 << 20
"""The largest document (manifest, token, list, error) that is read into memory."""
AGENT = f"labkit/{labkit.__version__}"

Content = bytes | Iterable[bytes] | None


@cache
def _trusting() -> ssl.SSLContext:
    """Accept any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _checking(endpoint: Endpoint) -> ssl.SSLContext:
    """Return a context with the system's authorities, not httpx's, and with the endpoint's own.

    It also has the certificates that this client shows if it is asked for one.
    InvalidParameterError.
    """
    context = trust.of_the_system()
    for path in endpoint.authorities:
        try:
            context.load_verify_locations(path)
        except OSError as error:
            raise InvalidParameterError(
                f"{path} is not a usable certificate ({error.strerror or error}): "
                "put an authority's there, in PEM, or remove the file"
            ) from None
    for path, key in endpoint.own:
        try:
            context.load_cert_chain(path, key)
        except OSError as error:
            raise InvalidParameterError(
                f"{path} and {key} are not a usable certificate and key "
                f"({error.strerror or error}): put them there, in PEM, or remove both"
            ) from None
    return context


class Transport:
    """Connections to one endpoint; several threads may use it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._origin = origin(httpx.URL(endpoint.url))
        self._client = httpx.Client(
            verify=_checking(endpoint) if endpoint.verifies else _trusting(),
            timeout=httpx.Timeout(SILENCE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S, pool=None),
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
            trust_env=not endpoint.is_local,  # proxies are for other machines
        )

    def is_own(self, url: httpx.URL) -> bool:
        """Whether an address is the endpoint's, so that its secrets may be sent there."""
        return origin(url) == self._origin

    def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: Content = None,
        *,
        home: httpx.URL | None = None,
    ) -> httpx.Response:
        """Send a request; return the response before its body, which the caller closes.

        `Authorization` is sent only to the host of `home`, by default to the endpoint itself.
        httpx.TransportError; UnreachableError for endless redirects.
        """
        first, trusted = url, origin(home) if home else self._origin
        for _ in range(REDIRECT_LIMIT + 1):
            given = {
                name: value
                for name, value in headers.items()
                if name.lower() != "authorization" or origin(url) == trusted
            }
            request = self._client.build_request(method, url, headers=given, content=content)
            try:
                response = self._client.send(request, stream=True)
            except UnicodeError as error:  # a redirect to a host whose name cannot be looked up
                raise httpx.ConnectError(f"{url.host} is not a host's name: {error}") from error
            target = response.headers.get("Location", "")
            if method not in ("GET", "HEAD") or response.status_code not in REDIRECTS or not target:
                return response
            response.close()
            url = joined(url, target)
        raise UnreachableError(
            f"cannot get {first.copy_with(query=None)}: over {REDIRECT_LIMIT} redirects, "
            "which may lead in a circle. Tell its administrator"
        )

    def fetch(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: Content = None,
        *,
        home: httpx.URL | None = None,
    ) -> tuple[httpx.Response, bytes]:
        """As `send`, with the whole answer, which must be small; UnreachableError."""
        try:
            response = self.send(method, url, headers, content, home=home)
            return response, read_whole(response)
        except httpx.TransportError as error:
            raise unreachable(str(url.copy_with(query=None)), error) from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port (RFC 6454)."""
    return url.scheme, url.host, url.port


def joined(base: httpx.URL, target: str) -> httpx.URL:
    """Return a `Location`, absolute or not, as an address; UnreachableError if it is not HTTP.

    A fragment has no meaning for a server, and is dropped.
    """
    try:
        url = base.join(target).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UnreachableError(
            f"the registry at {base.host} refers to {target[:200]!r}, which is not an address"
        )
    return url


def read_whole(response: httpx.Response, limit_bytes: int = BODY_LIMIT_BYTES) -> bytes:
    """Return the body of a small answer; the response is closed.  httpx.TransportError.

    UnreachableError if it is larger than `limit_bytes`.
    """
    content = bytearray()
    try:
        for piece in response.iter_raw():
            content += piece
            if len(content) > limit_bytes:
                where = response.url.copy_with(query=None)
                raise UnreachableError(
                    f"{where} sends a document of over {limit_bytes} bytes; that is too "
                    "large. Tell its administrator"
                )
    finally:
        response.close()
    return bytes(content)
