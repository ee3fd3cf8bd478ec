"""Searching a registry for images, by the first version of Docker's registry API, still in use.

`GET /v1/search?q=busybox&n=25`, at the index for the default registry, at the registry itself for
`localhost:5000/busybox`.
"""

import msgspec

from labkit.dialect.references import DEFAULT_DOMAIN
from labkit.registry.client.endpoints import DEFAULT_INDEX, Endpoint, Settings, candidates
from labkit.registry.client.registry import Registry


class Found(msgspec.Struct):
    """One image; the names are the API's."""

    name: str
    description: str = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False
    pull_count: int = 0


class _Page(msgspec.Struct):
    results: list[Found] | None = None


def split_term(term: str) -> tuple[str, str]:
    """Return the domain and the words to search: `localhost:5000/tool` names its registry."""
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return DEFAULT_DOMAIN, term.removeprefix("library/")


def endpoints(domain: str, settings: Settings) -> list[Endpoint]:
    """Return the endpoints to search for the registry of this domain."""
    if domain == DEFAULT_DOMAIN:
        return [Endpoint(DEFAULT_INDEX)]
    return candidates(domain, settings)


def search(registry: Registry, term: str, limit: int) -> list[Found]:
    """Return at most `limit` images whose names or descriptions match.

    Raises `RegistryError`, `UnreachableError`.
    """
    url = registry.url("/v1/search", {"q": term, "n": str(limit)})
    page, _ = registry.document(url, _Page)
    return list(page.results or [])[:limit]
