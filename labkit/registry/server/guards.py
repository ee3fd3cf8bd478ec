"""Who stands before the routes: here the one who lets everybody in, others in `authentication`."""

from collections.abc import Callable
from typing import Protocol

from labkit.http.requests import Request
from labkit.http.responses import Answer

May = Callable[[str, str], bool]
"""Whether a client may do something (`pull`, `push`, `delete`) to the repository of a name."""


class Guard(Protocol):
    """Stands before all routes."""

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request that is the guard's own business; None for all others."""

    def admit(self, request: Request, name: str, action: str) -> May:
        """Let a request in for what it wants to do; RegistryError UNAUTHORIZED."""


def anyone(name: str, action: str) -> bool:
    """Everyone who was let in may do everything."""
    return True


class Open:
    """No authentication at all."""

    def answer(self, request: Request) -> Answer | None:
        """Nothing is the guard's."""
        return None

    def admit(self, request: Request, name: str, action: str) -> May:
        """Everyone comes in."""
        return anyone
