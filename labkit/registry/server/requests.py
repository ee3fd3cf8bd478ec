"""The input of the handlers of all routes, and the parts of requests that they read."""

from typing import NamedTuple

from labkit.http.errors import ProtocolError
from labkit.http.requests import Request
from labkit.http.responses import Response
from labkit.registry.server.errors import RegistryError
from labkit.registry.server.guards import May
from labkit.registry.server.repository import Repository
from labkit.registry.server.store import Store
from labkit.registry.server.uploads import Uploads

PAUSE_S = 60.0
"""How long a client may be silent in the middle of a body; then it can continue with another
request, from where it stopped."""
READ_BYTES = 64 * 1024


class Visit(NamedTuple):
    """A request, the parts of the registry, and the client's rights."""

    request: Request
    store: Store
    uploads: Uploads
    may: May

    def with_content(self, name: str) -> Repository:
        """Return the repository of this name; NAME_UNKNOWN if nothing was ever pushed to it."""
        repository = self.store.find(name)
        if repository is None:
            raise RegistryError(
                "NAME_UNKNOWN", "repository name not known to registry", {"name": name}
            )
        return repository


def small_body(request: Request, limit_bytes: int) -> bytes:
    """Return the whole body; 413 if it is larger."""
    request.connection.allow_pauses(PAUSE_S)
    content = bytearray()
    while part := request.body.read(READ_BYTES):
        content += part
        if len(content) > limit_bytes:
            raise ProtocolError(413, f"the request's body is over {limit_bytes} bytes")
    return bytes(content)


def empty(status: int, *headers: tuple[str, str]) -> Response:
    """Return an answer with a head and no body."""
    return Response(status, headers=headers)
