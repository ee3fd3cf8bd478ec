"""All requests of a registry, with the right that each needs (distribution-spec "Endpoints")."""

import re
from collections.abc import Callable
from typing import NamedTuple

from labkit.http.requests import Request
from labkit.http.responses import Answer
from labkit.registry.server import blobs, images, lists, pushing
from labkit.registry.server.errors import RegistryError
from labkit.registry.server.guards import Guard
from labkit.registry.server.names import check_name
from labkit.registry.server.requests import Visit
from labkit.registry.server.store import Store
from labkit.registry.server.uploads import Uploads

Handler = Callable[..., Answer]
"""A function that is called with the visit, and the names in the path as text."""


class Route(NamedTuple):
    """One line of the API, with the right that a client needs for it."""

    methods: str
    path: str
    handler: Handler
    action: str
    """`pull`, `push`, `delete` in the repository; `catalog` of the registry; "" for any user."""


ROUTES = (
    Route("GET HEAD", "/v2/", lists.base, ""),
    Route("GET HEAD", "/v2/_catalog", lists.catalog, "catalog"),
    Route("POST", "/v2/<name>/blobs/uploads/", pushing.start, "push"),
    Route("GET HEAD", "/v2/<name>/blobs/uploads/<id>", pushing.status, "push"),
    Route("PATCH", "/v2/<name>/blobs/uploads/<id>", pushing.patch, "push"),
    Route("PUT", "/v2/<name>/blobs/uploads/<id>", pushing.finish, "push"),
    Route("DELETE", "/v2/<name>/blobs/uploads/<id>", pushing.cancel, "push"),
    Route("GET HEAD", "/v2/<name>/blobs/<id>", blobs.get, "pull"),
    Route("DELETE", "/v2/<name>/blobs/<id>", blobs.delete, "delete"),
    Route("GET HEAD", "/v2/<name>/manifests/<id>", images.get, "pull"),
    Route("PUT", "/v2/<name>/manifests/<id>", images.put, "push"),
    Route("DELETE", "/v2/<name>/manifests/<id>", images.delete, "delete"),
    Route("GET HEAD", "/v2/<name>/tags/list", lists.tags, "pull"),
    Route("GET HEAD", "/v2/<name>/referrers/<id>", lists.referrers, "pull"),
    Route("GET", "/v1/_ping", lists.ping, ""),
    Route("GET", "/v1/search", lists.search, "catalog"),
)


class Table:
    """Finds the route of a request, asks the guard, and calls the handler."""

    def __init__(self, store: Store, guard: Guard) -> None:
        self._store = store
        self._uploads = Uploads(store)
        self._guard = guard
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in ROUTES:
            _, of_method = self._patterns.setdefault(route.path, (_pattern(route.path), {}))
            of_method.update(dict.fromkeys(route.methods.split(), route))

    def handle(self, request: Request) -> Answer:
        """Return the answer to a request."""
        own = self._guard.answer(request)
        if own is not None:
            return own
        route, names = self._find(request.method, request.path)
        name = names[0] if names else ""
        if name:
            check_name(name)
        may = self._guard.admit(request, name, route.action)
        return route.handler(Visit(request, self._store, self._uploads, may), *names)

    def _find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        for pattern, of_method in self._patterns.values():
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if method in of_method:
                return of_method[method], match.groups()
            raise RegistryError(
                "UNSUPPORTED",
                f"this page does not accept {method[:20]}, only {', '.join(of_method)}",
                headers=[("Allow", ", ".join(of_method))],
            )
        raise RegistryError(
            "UNSUPPORTED",
            "there is no such page; those of the registry begin with /v2/",
            status=404,
        )


def _pattern(path: str) -> re.Pattern[str]:
    expression = re.escape(path).replace("<name>", "(.+)").replace("<id>", "([^/]+)")
    if path.endswith("/"):
        expression += "?"
    return re.compile(expression, re.DOTALL)
