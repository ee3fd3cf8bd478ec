"""The BuildKit service of an engine, made for the first request that needs it."""

import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import labkit
from labkit.containers import Engine
from labkit.daemon.routes.registries import ForBuild
from labkit.dialect.references import DEFAULT_DOMAIN
from labkit.images import platforms
from labkit.registry.client.credentials import Credentials

if TYPE_CHECKING:
    from labkit.buildkit.service import Service

DEFAULT_HOST = f"registry-1.{DEFAULT_DOMAIN}"

_LOCK = threading.Lock()


def service(engine: Engine) -> "Service":
    """The service of an engine, made at the first call."""
    with _LOCK:
        return _made(engine)


@cache
def _made(engine: Engine) -> "Service":
    from labkit.buildkit.service import Service  # noqa: PLC0415

    def registries_for(known: Callable[[str], tuple[str, str]]) -> ForBuild:
        def of(domain: str) -> Credentials:
            # The client names the default registry by its server.
            return Credentials(*known(DEFAULT_HOST if domain == DEFAULT_DOMAIN else domain))

        return ForBuild(engine, of)

    version = f"v{labkit.__version__}"
    return Service(engine, registries_for, platforms.parse(""), version)
