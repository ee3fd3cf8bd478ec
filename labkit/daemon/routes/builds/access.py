"""A build's access to registries: pull its bases, push its result, keep its caches."""

from collections.abc import Callable
from typing import cast

from labkit.build.options import Message
from labkit.build.portable_cache import Place
from labkit.containers import Engine
from labkit.daemon.routes import registries
from labkit.images import platforms


class Registries:
    """A build's access to registries, with the credentials of its request."""

    platform = staticmethod(platforms.parse)
    suits = staticmethod(platforms.runs_on)
    shown = staticmethod(platforms.words)

    def __init__(self, engine: Engine, known: registries.CredentialsFor) -> None:
        self._engine = engine
        self._known = known

    def pull(self, name: str, platform: str, say: Callable[[Message], None]) -> None:
        """Pull an image into the store."""
        told = cast("Callable[[object], None]", say)
        registries.pull_for_build(self._engine, self._known, name, platform, told)

    def push(self, name: str, say: Callable[[Message], None]) -> None:
        """Push an image to its registry."""
        told = cast("Callable[[object], None]", say)
        registries.push_for_build(self._engine, self._known, name, told)

    def cache(self, name: str, is_stopped: Callable[[], bool]) -> Place:
        """Return the place of a cache in a registry."""
        return registries.cache_for_build(self._engine, self._known, name, is_stopped)
