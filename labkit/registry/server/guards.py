"""Guards before the routes: here the one that admits all clients; `authentication` has others."""

from collections.abc import Callable
from typing import Protocol

from labkit.http.requests import Request
from labkit.http.responses import Answer

May = Callable[[str, str], bool]
"""Whether a client may do something (`pull`, `push`, `delete`) to the repository of a name."""


class Guard(Protocol):
    """A check before all routes."""

    def answer(self, request: Request) -> Answer | None:
        """Return the answer to a request for the guard itself; None for all others."""

    def admit(self, request: Request, name: str, action: str) -> May:
        """Admit a request for its action; RegistryError UNAUTHORIZED."""


def anyone(name: str, action: str) -> bool:
    """Allow everything to an admitted client."""
    return True


class Open:
    """A guard without authentication."""

    def answer(self, request: Request) -> Answer | None:
        """Return None: this guard answers no request itself."""
        return None

    def admit(self, request: Request, name: str, action: str) -> May:
        """Admit all clients."""
        return anyone
