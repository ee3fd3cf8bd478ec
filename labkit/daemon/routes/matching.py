"""From a request's method and path to the handler."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from labkit.containers import Engine
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer
from labkit.errors import NotFoundError

Handler = Callable[..., Answer]
"""Called with the engine, the request, and the names in the path as positional texts."""

PLACEHOLDERS = {
    "{id}": "([^/]+)",
    # An image's name may contain slashes: localhost:5000/someone/tool
    "{image}": "(.+)",
}


class Route(NamedTuple):
    """One line of the API: `POST /containers/{id}/start` and the function for it."""

    method: str
    path: str
    handler: Handler


class Table:
    """Finds handlers.  Paths without placeholders come first, then the others in their order."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Handler]]] = {}
        for route in routes:
            if "{" not in route.path:
                self._exact[route.method, route.path] = route.handler
                continue
            of_method = self._patterns.setdefault(route.method, [])
            of_method.append((_pattern(route.path), route.handler))

    def find(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
        """The handler, and the names in the path; NotFoundError for a path that the API lacks."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, ()
        for pattern, handler in self._patterns.get(method, ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return handler, match.groups()
        raise NotFoundError("page not found")

    def handle(self, engine: Engine, request: Request) -> Answer:
        """The answer to a request."""
        handler, names = self.find(request.method, request.path)
        return handler(engine, request, *names)


def _pattern(path: str) -> re.Pattern[str]:
    expression = re.escape(path)
    for placeholder, what in PLACEHOLDERS.items():
        expression = expression.replace(re.escape(placeholder), what)
    return re.compile(expression, re.DOTALL)
