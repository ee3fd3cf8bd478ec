"""Manifests under their tags and digests: get, put, delete (distribution-spec "Push", "Pull")."""

import hashlib
from collections.abc import Iterator

from labkit.http.responses import Answer, Response
from labkit.images.models import Descriptor
from labkit.registry.server import manifests
from labkit.registry.server.errors import ManyError, RegistryError, disk_error
from labkit.registry.server.manifests import Received
from labkit.registry.server.names import check_digest, check_tag
from labkit.registry.server.repository import SUBJECT, Contents, Repository
from labkit.registry.server.requests import Visit, empty, small_body


def get(visit: Visit, name: str, reference: str) -> Answer:
    """`GET`, `HEAD /v2/<name>/manifests/<tag or digest>`: the bytes as they were pushed."""
    repository, descriptor = _find(visit, name, reference)
    tag = f'"{descriptor.digest}"'
    headers = (("Docker-Content-Digest", descriptor.digest), ("ETag", tag))
    if tag in visit.request.headers.get("if-none-match", ""):
        return empty(304, *headers)
    data = repository.read_manifest(descriptor.digest)
    return Response(200, data, descriptor.media_type, headers)


def put(visit: Visit, name: str, reference: str) -> Answer:
    """`PUT /v2/<name>/manifests/<tag or digest>`: an image, whose parts must exist already."""
    tag = "" if ":" in reference else check_tag(reference)
    asked = "" if tag else check_digest(reference)
    data = small_body(visit.request, manifests.LIMIT_BYTES)
    received = manifests.receive(data, visit.request.headers.get("content-type", ""))
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if asked and asked != digest:
        raise RegistryError(
            "DIGEST_INVALID",
            f"provided digest did not match uploaded content: its digest is {digest}",
            {"digest": asked},
        )
    try:
        with visit.store.changing():
            _keep(visit.store.make(name), received, digest, tag)
    except OSError as error:
        raise disk_error(error) from None
    headers = [("Location", f"/v2/{name}/manifests/{digest}"), ("Docker-Content-Digest", digest)]
    if received.document.subject is not None:
        headers.append(("OCI-Subject", received.document.subject.digest))
    return empty(201, *headers)


def delete(visit: Visit, name: str, reference: str) -> Answer:
    """`DELETE /v2/<name>/manifests/<tag or digest>`: the tag alone, or the manifest and its tags.

    Its blobs stay until the next garbage collection.
    """
    repository, descriptor = _find(visit, name, reference)
    with visit.store.changing(), repository.changing() as contents:
        doomed = [reference] if ":" not in reference else contents.tags_of(descriptor.digest)
        for tag in doomed:
            contents.tags.pop(tag, None)
        if ":" in reference:
            contents.manifests.pop(descriptor.digest, None)
    return empty(202)


def _find(visit: Visit, name: str, reference: str) -> tuple[Repository, Descriptor]:
    digest = check_digest(reference) if ":" in reference else ""
    tag = "" if digest else check_tag(reference)
    repository = visit.store.find(name)
    if repository is not None:
        contents = repository.contents()
        found = contents.manifests.get(digest or contents.tags.get(tag, ""))
        if found is not None:
            return repository, found
    raise RegistryError(
        "MANIFEST_UNKNOWN", "manifest unknown", {"name": name, "reference": reference}
    )


def _keep(repository: Repository, received: Received, digest: str, tag: str) -> None:
    document = received.document
    with repository.changing() as contents:
        missing = list(_missing(repository, contents, received))
        if missing:
            raise ManyError(missing)
        repository.write_manifest(digest, received.data)
        contents.manifests[digest] = Descriptor(
            received.media_type,
            digest,
            len(received.data),
            annotations={SUBJECT: document.subject.digest} if document.subject else None,
        )
        if tag:
            contents.tags[tag] = digest


def _missing(
    repository: Repository, contents: Contents, received: Received
) -> Iterator[RegistryError]:
    """Yield an error for each missing part of the manifest; its subject may follow later."""
    for blob in received.document.blobs:
        size = repository.use(blob.digest)
        if size is None:
            yield RegistryError(
                "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": blob.digest}
            )
        elif size != blob.size:
            yield RegistryError(
                "SIZE_INVALID",
                f"the manifest says {blob.size} bytes, the blob has {size}",
                {"digest": blob.digest},
            )
    for manifest in received.document.images:
        if manifest.digest not in contents.manifests:
            yield RegistryError(
                "MANIFEST_BLOB_UNKNOWN", "manifest unknown to registry", {"digest": manifest.digest}
            )
