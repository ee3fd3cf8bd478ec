"""Images: list, import, inspect, history, tag, remove."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from labkit import snapshots
from labkit.build.context import fetch
from labkit.containers import Engine
from labkit.daemon import filters
from labkit.daemon.create_body import convert
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Response, Stream, json_response
from labkit.daemon.routes import registries
from labkit.daemon.routes.commit import changes_of
from labkit.daemon.shapes.images import (
    image_history,
    image_inspection,
    image_manifest,
    image_summary,
)
from labkit.dialect.moments import parse_s, unix_s
from labkit.errors import InvalidParameterError, NotFoundError
from labkit.http.requests import decode_json
from labkit.images import Image, platforms, references
from labkit.images.models import Platform
from labkit.images.references import is_digest, repository_of

FILTERS = ("before", "dangling", "label", "reference", "since", "until")
FROM_BODY = "-"


def list_images(engine: Engine, request: Request) -> Answer:
    """`GET /images/json?all=&filters=&shared-size=`: the newest first.

    Without `all`, nameless images that others were made from are left out.  An image with a digest
    but no tag is dangling and yet has a name: it is listed with `dangling` true and false.
    With `reference`, an image is shown with the names that match.
    """
    query = request.query
    asked = filters.parse(query.text("filters"), FILTERS)
    dangling = filters.truth(asked, "dangling")
    since_s, before_s = _bounds(engine, asked)
    every = engine.images.list()
    parents = {image.parent for image in every}
    found = [
        image
        for image in _referred_to(every, asked)
        if (query.flag("all") or image.names or image.id not in parents)
        and (dangling is not True or (not image.tags and image.id not in parents))
        and (dangling is not False or image.names)
        and since_s < unix_s(image.created) < before_s
        and filters.has_labels(asked, image.config.labels)
    ]
    shared = engine.images.shared_sizes() if query.flag("shared-size") else {}
    shown = [image_summary(image, shared.get(image.id)) for image in found]
    if query.flag("manifests"):
        for line, image in zip(shown, found, strict=True):
            line["Manifests"] = [image_manifest(engine, image)]
    return json_response(shown)


def _bounds(engine: Engine, asked: filters.Filters) -> tuple[float, float]:
    """The times between which an image must have been made, in seconds since 1970."""
    since = [_made_s(engine, name) for name in asked.get("since", [])]
    before = [_made_s(engine, name) for name in asked.get("before", [])]
    before += [parse_s(text, time.time()) for text in asked.get("until", [])]
    return max(since, default=-math.inf), min(before, default=math.inf)


def _made_s(engine: Engine, reference: str) -> float:
    return unix_s(engine.images.resolve(reference).created)


def _referred_to(images: Sequence[Image], asked: filters.Filters) -> Iterator[Image]:
    """The images with names that match the filter `reference`; all images if it is not set.

    With a tag the digests of its repository are kept: without them the digest would be missing.
    """
    patterns = asked.get("reference")
    if not patterns:
        yield from images
        return
    for image in images:
        fitting = [
            name
            for name in image.names
            if any(filters.reference_matches(pattern, name) for pattern in patterns)
        ]
        tagged = {repository_of(name) for name in fitting if not is_digest(name)}
        digests = [
            name for name in image.names if is_digest(name) and repository_of(name) in tagged
        ]
        if fitting:
            yield image._replace(names=sorted({*fitting, *digests}))


def create(engine: Engine, request: Request) -> Answer:
    """`POST /images/create?fromSrc=-&repo=&tag=&changes=&message=`: the body is a root file system.

    It may be at a URL, `fromSrc=https://…`.  With `fromImage=` an image is pulled instead.
    The answer is a stream of JSON objects, the last with the new image's id as its status.
    """
    query = request.query
    if query.text("fromImage"):
        return registries.pull(engine, request)
    platform = platforms.parse(query.text("platform"))
    if platform.os != "linux":
        raise InvalidParameterError("operating system is not supported")
    repository, tag = query.text("repo"), query.text("tag")
    if tag and not repository:
        raise InvalidParameterError(f"tag={tag} needs a repo")
    reference = f"{repository}:{tag}" if tag else repository
    with _source(engine, request) as archive:
        image = engine.images.import_tar(
            archive,
            reference,
            changes_of(query),
            query.text("message"),
            architecture=platform.architecture,
        )
    if reference:
        engine.events.publish_image("tag", image, references.parse(reference).familiar)
    engine.events.publish_image("import", image)
    return Stream(_progress(image.id))


@contextmanager
def _source(engine: Engine, request: Request) -> Iterator[BinaryIO]:
    """The archive to import: the body, or the file at the URL; InvalidParameterError."""
    url = request.query.text("fromSrc")
    if url == FROM_BODY:
        yield request.body_file()
        return
    with fetch.fetch(url, engine.paths.root).file as archive:
        archive.seek(0)
        yield archive


def _progress(image_id: str) -> Iterator[bytes]:
    yield msgspec.json.encode({"status": image_id}) + b"\r\n"


def _for_platform(engine: Engine, reference: str, request: Request) -> Image:
    """The image, if it is for the platform of the request; NotFoundError."""
    image = engine.images.resolve(reference)
    check_platform(image, reference, request.query.text("platform"))
    return image


def platform_of(asked: str) -> Platform:
    """Return a platform: Docker's clients send a JSON object, `labkit` the user's words."""
    if not asked.startswith(("{", "[")):
        return platforms.parse(asked)
    value = decode_json(asked.encode(), "The platform")
    first = value[0] if isinstance(value, list) and value else value
    return convert(first if isinstance(first, dict) else {}, Platform, "platform.")


def check_platform(image: Image, reference: str, asked: str) -> None:
    """NotFoundError if an image is for another platform than `asked` says (`platform_of`).

    labkit keeps each image for one platform only.
    """
    if not asked:
        return
    wanted = platform_of(asked)
    own = Platform(image.architecture, image.os, image.document.variant)
    if not platforms.runs_on(own, wanted):
        raise NotFoundError(
            f"image with reference {reference} was found but does not provide the specified "
            f"platform ({platforms.words(wanted)})"
        )


def inspect(engine: Engine, request: Request, reference: str) -> Answer:
    """`GET /images/{name}/json?platform=&manifests=`."""
    image = _for_platform(engine, reference, request)
    return json_response(image_inspection(image, snapshots.of(engine.paths.root).name))


def history(engine: Engine, request: Request, reference: str) -> Answer:
    """`GET /images/{name}/history?platform=`: the steps that made the image, the newest first."""
    image = _for_platform(engine, reference, request)
    by_id = {each.id: each for each in engine.images.list()}
    return json_response(image_history(image, engine.images.layer_sizes(image), by_id))


def tag(engine: Engine, request: Request, reference: str) -> Answer:
    """`POST /images/{name}/tag?repo=&tag=`: 201."""
    repository, tag_ = request.query.text("repo"), request.query.text("tag")
    name = f"{repository}:{tag_}" if tag_ else repository
    engine.images.tag(reference, name)
    engine.events.publish_image("tag", engine.images.resolve(name), references.parse(name).familiar)
    return Response(201)


def remove(engine: Engine, request: Request, reference: str) -> Answer:
    """`DELETE /images/{name}?force=&noprune=`: the untagged names and the deleted images."""
    query = request.query
    image = engine.images.resolve(reference)
    report = engine.images.remove(
        reference,
        force=query.flag("force"),
        prune=not query.flag("noprune"),
        users=engine.image_users(),
    )
    publish_removal(engine, image, report)
    return json_response(report)


def publish_removal(engine: Engine, image: Image, report: Sequence[Mapping[str, str]]) -> None:
    """Publish that an image has lost names, and that it is deleted."""
    for line in report:
        if "Untagged" in line:
            engine.events.publish_image("untag", image)
        elif line["Deleted"] == image.id:
            engine.events.publish("image", "delete", image.id, {"name": image.id})
