"""Requests to labkitd: JSON in and out, labkit's own errors, connections kept for the next request.

The paths and fields are the Docker Engine API's (`labkit.API_VERSION`); labkit's own
additions are named `Labkit` or are below a container (`/containers/{id}/steps`).
"""

import json

from labkit import API_VERSION
from labkit.client.http import Connection, Response, quote
from labkit.errors import (
    ConflictError,
    DaemonUnavailableError,
    ForbiddenError,
    InvalidParameterError,
    LabkitError,
    NotFoundError,
    NotModifiedError,
    StartError,
    UnauthorizedError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

JSON = "application/json"
TAR = "application/x-tar"
NEWEST_OF_DAEMON = "is too new. Maximum supported API version is "
"""The words of a daemon with an earlier API, before its newest version."""

_ERRORS = {
    each.http_status: each
    for each in (
        ConflictError,
        ForbiddenError,
        InvalidParameterError,
        NotFoundError,
        NotModifiedError,
        UnauthorizedError,
    )
}


class Api:
    """The daemon behind one Unix socket.  Several threads may use it.

    `timeout_s` limits every single wait for the daemon; None waits without a limit, as a wait for a
    container needs.  Every method raises `DaemonUnavailableError` if no daemon answers, and the
    error that the daemon's answer means if it refuses.
    """

    def __init__(self, socket_path: str, timeout_s: float | None = None) -> None:
        self.socket_path = socket_path
        self.timeout_s = timeout_s
        self._idle: list[Connection] = []
        self._version = API_VERSION

    def get(self, path: str, /, **query: object) -> "Any":
        """Return the JSON of `GET path?query`.  Parameters that are None or False are left out."""
        return _decoded(self._open("GET", path, query))

    def post(self, path: str, body: object = None, /, **query: object) -> "Any":
        """Return the JSON of the answer, or None if it has none; `body` is sent as JSON."""
        return _decoded(self._open("POST", path, query, _encoded(body)))

    def delete(self, path: str, /, **query: object) -> "Any":
        """Return the JSON of the answer, or None if it has none."""
        return _decoded(self._open("DELETE", path, query))

    def stream(self, method: str, path: str, /, **query: object) -> Response:
        """Return the response after its head; the caller closes it, or reads it to its end."""
        return self._open(method, path, query)

    def send(
        self, method: str, path: str, headers: "Mapping[str, str]", /, **query: object
    ) -> Response:
        """As `stream`, with more headers, such as credentials for a registry."""
        return self._open(method, path, query, headers=headers)

    def upload(
        self,
        path: str,
        pieces: "Iterable[bytes]",
        method: str = "POST",
        headers: "Mapping[str, str] | None" = None,
        /,
        **query: object,
    ) -> Response:
        """Send an archive of unknown length, in chunks; return the response as `stream`."""
        return self._open(method, path, query, pieces, content_type=TAR, headers=headers)

    def head(self, path: str, /, **query: object) -> "dict[str, str]":
        """Return the headers of `HEAD path?query`, with lower-case names."""
        response = self._open("HEAD", path, query)
        response.read()
        return response.headers

    def hijack(self, path: str, body: object = None, /, **query: object) -> Response:
        """`POST` that turns the connection into a raw stream: see `Response.hijack`."""
        return self._open("POST", path, query, _encoded(body), upgrade=True)

    def connect(self) -> None:
        """Connect now, not at the first request, to learn whether a daemon listens."""
        self._idle.append(self._connection())

    def close(self) -> None:
        """Close the kept connections; later requests open new ones."""
        while self._idle:
            self._idle.pop().close()

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, object],
        body: "bytes | Iterable[bytes] | None" = None,
        *,
        content_type: str = JSON,
        headers: "Mapping[str, str] | None" = None,
        upgrade: bool = False,
    ) -> Response:
        if not isinstance(body, bytes | None):
            # A body in pieces cannot be sent twice: learn the daemon's version first.
            self._open("GET", "/_ping", {}).read()
        version = self._version
        target = f"/v{version}{path}{_query_string(query)}"
        connection = self._connection()
        try:
            response = connection.request(
                method,
                target,
                body,
                content_type=content_type,
                headers=headers,
                upgrade=upgrade,
            )
            if 200 <= response.status < 300 or response.status == 101:
                return response
            text = response.read()
        except BaseException:
            connection.close()
            raise
        error = _error(response.status, text or response.reason.encode())
        newest = str(error).partition(NEWEST_OF_DAEMON)[2]
        if not newest or version != API_VERSION:
            raise error
        # An earlier release's labkitd runs on, during an update.
        self._version = newest
        return self._open(
            method, path, query, body, content_type=content_type, headers=headers, upgrade=upgrade
        )

    def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()  # pop and append are atomic: no lock is needed
            if connection.is_idle():
                return connection
            connection.close()
        try:
            return Connection(self.socket_path, self.timeout_s, self._idle.append)
        except OSError as error:
            raise unavailable(self.socket_path, error) from error


def container_path(ref: str) -> str:
    """Return the path of the container with this name or id; InvalidParameterError if empty."""
    return f"/containers/{_name(ref.removeprefix('/'), 'container')}"


def volume_path(name: str) -> str:
    """Return the path of the volume with this name; InvalidParameterError if empty."""
    return f"/volumes/{_name(name, 'volume')}"


def network_path(ref: str) -> str:
    """Return the path of the network with this name or id; InvalidParameterError if empty."""
    return f"/networks/{_name(ref, 'network')}"


def image_path(ref: str) -> str:
    """Return the path of the image with this name or id; InvalidParameterError if empty."""
    return f"/images/{_name(ref, 'image')}"


def _name(ref: str, kind: str) -> str:
    if not ref.strip():
        raise InvalidParameterError(f"invalid {kind} name or ID: value is empty")
    return quote(ref, b"/:@")


def filters_json(filters: "Mapping[str, str | Sequence[str]] | None") -> str | None:
    """Return Docker's `filters` parameter: every name with the list of its values."""
    if not filters:
        return None
    lists = {
        name: [values] if isinstance(values, str) else list(values)
        for name, values in filters.items()
    }
    return json.dumps(lists)


def _query_string(query: dict[str, object]) -> str:
    given = []
    for name, value in query.items():
        if value is None or value is False:
            continue
        for item in value if isinstance(value, (list, tuple)) else (value,):
            text = "1" if item is True else str(item)
            given.append(f"{quote(name)}={quote(text)}")
    return "?" + "&".join(given) if given else ""


def _encoded(body: object) -> bytes | None:
    if body is None:
        return None
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        near = text[max(error.start - 10, 0) : error.end + 10]
        raise InvalidParameterError(
            f"the API takes only UTF-8 text, and this is not UTF-8: {near!r}"
        ) from error


def _decoded(response: Response) -> "Any":
    text = response.read()
    return json.loads(text) if text else None


def _error(status: int, text: bytes) -> LabkitError:
    try:
        answer = json.loads(text)
        message, ours = str(answer["message"]), dict(answer.get("labkit", {}))
    except (ValueError, KeyError, TypeError):
        message, ours = text.decode("utf-8", "replace").strip() or f"HTTP status {status}", {}
    if "exit_code" in ours:
        return StartError(
            message,
            exit_code=ours["exit_code"],
            step=ours.get("step", ""),
            steps=ours.get("steps"),
        )
    return _ERRORS.get(status, LabkitError)(message)


def unavailable(path: str, error: OSError) -> DaemonUnavailableError:
    """Return the error for a failed connect(2) to the socket at `path`, with what to do."""
    if isinstance(error, PermissionError):
        return DaemonUnavailableError(
            f"you may not use {path}: run this with sudo, or join the group that owns it "
            "(sudo usermod -aG labkit $USER, then log in again)"
        )
    return DaemonUnavailableError(
        f"no labkitd answers on {path} ({error.strerror or error}): start it: labkit daemon"
    )
