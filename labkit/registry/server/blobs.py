"""Blobs: reading them, whole or in part, and removing them (distribution-spec "Pull")."""

import os
import re

from labkit.http.requests import Request
from labkit.http.responses import OCTETS, Answer, FilePart
from labkit.registry.server.errors import RegistryError
from labkit.registry.server.names import check_digest
from labkit.registry.server.requests import Visit, empty

FOREVER = ("Cache-Control", "max-age=31536000, immutable")
"""The content of a digest never changes."""

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def get(visit: Visit, name: str, digest: str) -> Answer:
    """`GET`, `HEAD /v2/<name>/blobs/<digest>`: the blob, or the part that `Range` asks for."""
    check_digest(digest)
    repository = visit.store.find(name)
    if repository is None or repository.use(digest) is None:
        raise _unknown(digest)
    tag = f'"{digest}"'
    headers = (
        ("Docker-Content-Digest", digest),
        ("Accept-Ranges", "bytes"),
        ("ETag", tag),
        FOREVER,
    )
    if tag in visit.request.headers.get("if-none-match", ""):
        return empty(304, *headers)
    try:
        file = open(repository.blob_path(digest), "rb")
    except FileNotFoundError:  # deleted at this moment
        raise _unknown(digest) from None
    size = os.fstat(file.fileno()).st_size
    try:
        part = _asked_part(visit.request, size, tag)
    except RegistryError:
        file.close()
        raise
    if part is None:
        return FilePart(200, file, 0, size, OCTETS, headers)
    first, last = part
    shown = ("Content-Range", f"bytes {first}-{last}/{size}")
    return FilePart(206, file, first, last - first + 1, OCTETS, (*headers, shown))


def delete(visit: Visit, name: str, digest: str) -> Answer:
    """`DELETE /v2/<name>/blobs/<digest>`: remove the blob from the repository."""
    check_digest(digest)
    repository = visit.store.find(name)
    if repository is None:
        raise _unknown(digest)
    with visit.store.changing():
        if digest in repository.contents().manifests:
            raise RegistryError(
                "UNSUPPORTED", "this is a manifest: delete it under /manifests/", {"digest": digest}
            )
        try:
            os.unlink(repository.blob_path(digest))
        except FileNotFoundError:
            raise _unknown(digest) from None
    return empty(202, ("Docker-Content-Digest", digest))


def _asked_part(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """Return the first and last byte of the request; None for all (RFC 9110 §14.2).

    An invalid range, or several of them, mean all.  One that begins after the end is the 416 of
    RFC 9110 §15.5.17.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or match.group() == "bytes=-" or request.headers.get("if-range", tag) != tag:
        return None
    start, end = match.groups()
    if not start:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(start), min(int(end or size), size - 1)
        if end and int(end) < first:
            return None
    if first >= size:
        raise RegistryError(
            "SIZE_INVALID",
            f"the blob has {size} bytes, the range begins after them",
            status=416,
            headers=[("Content-Range", f"bytes */{size}")],
        )
    return first, last


def _unknown(digest: str) -> RegistryError:
    return RegistryError("BLOB_UNKNOWN", "blob unknown to registry", {"digest": digest})
