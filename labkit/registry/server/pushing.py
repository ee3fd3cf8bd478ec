"""Uploading blobs: whole, in chunks, or from another repository (distribution-spec "Push")."""

import os
import re

from labkit.http.requests import Request
from labkit.http.responses import Answer
from labkit.registry.server.errors import RegistryError, disk_error
from labkit.registry.server.names import check_digest, is_digest, is_name
from labkit.registry.server.repository import Repository
from labkit.registry.server.requests import PAUSE_S, Visit, empty
from labkit.registry.server.uploads import Upload

_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


def start(visit: Visit, name: str) -> Answer:
    """`POST /v2/<name>/blobs/uploads/`: begin an upload, or do it all at once.

    With `digest` the body is the whole blob.  With `mount` and `from` it is linked from another
    repository, which the client must be allowed to read; if that has no such blob, an upload
    begins as without these parameters.
    """
    mount, source = visit.request.query.text("mount"), visit.request.query.text("from")
    if is_digest(mount) and is_name(source) and visit.may(source, "pull"):
        mounted = _mount(visit, mount, source, name)
        if mounted is not None:
            return mounted
    digest = visit.request.query.text("digest")
    if digest:
        check_digest(digest)
    repository, upload_id = visit.uploads.start(name)
    if digest and not mount:
        return _complete(visit, repository, upload_id, digest)
    return empty(202, *_progress(name, upload_id, 0))


def status(visit: Visit, name: str, upload_id: str) -> Answer:
    """`GET /v2/<name>/blobs/uploads/<id>`: how much has arrived."""
    size = visit.uploads.size(visit.store.find(name), upload_id)
    return empty(204, *_progress(name, upload_id, size))


def patch(visit: Visit, name: str, upload_id: str) -> Answer:
    """`PATCH /v2/<name>/blobs/uploads/<id>`: the next chunk, or a stream of unknown length."""
    with visit.uploads.held(visit.store.find(name), upload_id) as upload:
        _append(visit.request, upload, name)
        return empty(202, *_progress(name, upload_id, upload.size))


def finish(visit: Visit, name: str, upload_id: str) -> Answer:
    """`PUT /v2/<name>/blobs/uploads/<id>?digest=…`: take the rest, if any, and make the blob."""
    digest = check_digest(visit.request.query.text("digest"))
    repository = visit.store.find(name)
    visit.uploads.size(repository, upload_id)
    assert repository is not None  # noqa: S101 it has an upload
    return _complete(visit, repository, upload_id, digest)


def cancel(visit: Visit, name: str, upload_id: str) -> Answer:
    """`DELETE /v2/<name>/blobs/uploads/<id>`: remove what has arrived."""
    visit.uploads.cancel(visit.store.find(name), upload_id)
    return empty(204)


def _mount(visit: Visit, digest: str, source: str, name: str) -> Answer | None:
    with visit.store.changing():
        there = visit.store.find(source)
        if there is None or digest in there.contents().manifests:
            return None
        if not visit.store.mount(digest, there, visit.store.make(name)):
            return None
    return _created(name, digest)


def _complete(visit: Visit, repository: Repository, upload_id: str, digest: str) -> Answer:
    """Take the rest of the body, compare the digest, and make the upload a blob."""
    with visit.uploads.held(repository, upload_id) as upload:
        _append(visit.request, upload, repository.name)
        arrived = upload.digest()
        if arrived != digest:
            os.unlink(upload.path)
            raise RegistryError(
                "DIGEST_INVALID",
                f"provided digest did not match uploaded content: its digest is {arrived}; "
                "the upload is discarded",
                {"digest": digest},
            )
        upload.sync()
        try:
            with visit.store.changing():
                visit.store.adopt(upload.path, digest, visit.store.make(repository.name))
        except OSError as error:
            raise disk_error(error) from None
    return _created(repository.name, digest)


def _append(request: Request, upload: Upload, name: str) -> None:
    """Append the request's body; the client must know the present end.

    Raises:
        RegistryError: 416 for a chunk out of order, SIZE_INVALID for one of another length.
    """
    given = request.headers.get("content-range")
    start, length = upload.size, None
    if given is not None:
        match = _CONTENT_RANGE.fullmatch(given)
        if match is None or int(match[1]) != start or int(match[2]) < start:
            raise RegistryError(
                "BLOB_UPLOAD_INVALID",
                f"the next chunk begins at byte {start}; Content-Range: {given[:60]}"
                " was sent, START-END was expected",
                status=416,
                headers=_progress(name, upload.id, start),
            )
        length = int(match[2]) - start + 1
    request.connection.allow_pauses(PAUSE_S)
    count = upload.append(request.body)
    if length is not None and count != length:
        upload.cut(start)
        raise RegistryError(
            "SIZE_INVALID",
            f"Content-Range: {given} is {length} bytes, the body was {count}; none are kept",
            {"expected": length, "received": count},
        )


def _progress(name: str, upload_id: str, size: int) -> tuple[tuple[str, str], ...]:
    return (
        ("Location", f"/v2/{name}/blobs/uploads/{upload_id}"),
        ("Range", f"0-{max(size - 1, 0)}"),
        ("Docker-Upload-UUID", upload_id),
    )


def _created(name: str, digest: str) -> Answer:
    location = f"/v2/{name}/blobs/{digest}"
    return empty(201, ("Location", location), ("Docker-Content-Digest", digest))
