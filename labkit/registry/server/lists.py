"""Lists of the content: repositories, tags, referrers, a search.

distribution-spec "Content Discovery"; the search is Docker's, of the registry's first version.
"""

from urllib.parse import quote

import msgspec

from labkit.http.requests import Request
from labkit.http.responses import Answer, Response, json_response
from labkit.images.models import INDEX, Descriptor
from labkit.registry.server import manifests
from labkit.registry.server.errors import RegistryError
from labkit.registry.server.names import check_digest
from labkit.registry.server.repository import SUBJECT
from labkit.registry.server.requests import Visit

CATALOG_PAGE = 1000
SEARCH_PAGE = 25
SEARCH_PAGE_MAX = 100


def base(visit: Visit) -> Answer:
    """`GET /v2/`: yes, this is a registry."""
    return json_response({})


def catalog(visit: Visit) -> Answer:
    """`GET /v2/_catalog`: the repositories that have a manifest, in order, by pages."""
    page, headers = _page(_repositories(visit), visit.request, CATALOG_PAGE)
    return json_response({"repositories": page}, headers=headers)


def tags(visit: Visit, name: str) -> Answer:
    """`GET /v2/<name>/tags/list`: the tags, in order, by pages if `n` is given."""
    there = sorted(visit.with_content(name).contents().tags, key=_place)
    page, headers = _page(there, visit.request, len(there))
    return json_response({"name": name, "tags": page}, headers=headers)


def referrers(visit: Visit, name: str, digest: str) -> Answer:
    """`GET /v2/<name>/referrers/<digest>`: the manifests whose subject has this digest.

    A list, empty without any, also for a digest that is not here (yet).
    """
    check_digest(digest)
    repository = visit.store.find(name)
    wanted = visit.request.query.text("artifactType")
    found = []
    for descriptor in repository.contents().manifests.values() if repository else ():
        if (descriptor.annotations or {}).get(SUBJECT) == digest and repository:
            document = manifests.read(repository.read_manifest(descriptor.digest))
            if not wanted or document.kind == wanted:
                found.append(_referrer(descriptor, document))
    body = msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": found})
    filtered = (("OCI-Filters-Applied", "artifactType"),) if wanted else ()
    return Response(200, body, INDEX, filtered)


def search(visit: Visit) -> Answer:
    """`GET /v1/search?q=`: the repositories with the words in their names, as on Docker's Hub."""
    words = visit.request.query.text("q").lower()
    count = min(_number(visit.request, "n", SEARCH_PAGE) or SEARCH_PAGE, SEARCH_PAGE_MAX)
    page = max(_number(visit.request, "page", 1), 1)
    found = [name for name in _repositories(visit) if words.removeprefix("library/") in name]
    shown = found[(page - 1) * count : page * count]
    return json_response(
        {
            "query": visit.request.query.text("q"),
            "num_results": len(found),
            "num_pages": -(-len(found) // count),
            "page": page,
            "page_size": count,
            "results": [
                {
                    "name": name,
                    "description": "",
                    "star_count": 0,
                    "is_official": False,
                    "is_automated": False,
                }
                for name in shown
            ],
        }
    )


def ping(visit: Visit) -> Answer:
    """`GET /v1/_ping`: Docker sends this before a search."""
    return json_response(True, headers=(("X-Docker-Registry-Standalone", "true"),))


def _repositories(visit: Visit) -> list[str]:
    names = visit.store.names()
    there = [(name, visit.store.find(name)) for name in names]
    return [name for name, repository in there if repository and repository.contents().manifests]


def _page(
    names: list[str], request: Request, default: int
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Return at most `n` names after `last`, and the header with the link to the next ones."""
    last = request.query.text("last")
    count = _number(request, "n", default)
    after = [name for name in names if _place(name) > _place(last)] if last else names
    page = after[:count]
    if not page or len(after) == len(page):
        return page, ()
    link = f"<{request.path}?n={count}&last={quote(page[-1], safe='')}>"
    return page, (("Link", f'{link}; rel="next"'),)


def _place(name: str) -> tuple[str, str]:
    """Return the sort key of a name: its lower-case form ("lexical" in the spec)."""
    return name.lower(), name


def _number(request: Request, key: str, default: int) -> int:
    text = request.query.text(key)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise RegistryError(
            "PAGINATION_NUMBER_INVALID",
            f"{key}={text[:40]} is not a number of entries",
            {key: text[:40]},
        )
    return int(text)


def _referrer(descriptor: Descriptor, document: manifests.Document) -> Descriptor:
    return Descriptor(
        descriptor.media_type,
        descriptor.digest,
        descriptor.size,
        annotations=document.annotations,
        artifact_type=document.kind or None,
    )
