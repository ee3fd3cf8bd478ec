"""Images: import, list, inspect, remove."""

from collections.abc import Iterator

import msgspec

from labkit.containers import Engine
from labkit.daemon import filters
from labkit.daemon.errors import UnsupportedError
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Stream, json_response
from labkit.daemon.shapes.images import image_inspection, image_summary
from labkit.errors import InvalidParameterError
from labkit.images import Image

FILTERS = ("dangling", "label", "reference")
FROM_BODY = "-"


def list_images(engine: Engine, request: Request) -> Answer:
    """`GET /images/json?filters=`: the newest first."""
    asked = filters.parse(request.query.text("filters"), FILTERS)
    dangling = filters.truth(asked, "dangling")
    return json_response(
        [
            image_summary(image)
            for image in engine.images.list()
            if (dangling is None or dangling == (not image.tags))
            and filters.has_labels(asked, image.config.labels)
            and _is_referred_to(image, asked)
        ]
    )


def _is_referred_to(image: Image, asked: filters.Filters) -> bool:
    return filters.matches_any(
        asked,
        "reference",
        lambda pattern: any(filters.reference_matches(pattern, tag) for tag in image.tags),
    )


def create(engine: Engine, request: Request) -> Answer:
    """`POST /images/create?fromSrc=-&repo=&tag=&changes=&message=`: the body is a root file system.

    The answer is a stream of JSON objects, the last with the new image's id as its status.
    """
    query = request.query
    if query.text("fromImage"):
        raise UnsupportedError(
            f"labkit cannot pull {query.text('fromImage')}: it does not speak to registries yet. "
            "Import a root file system instead: docker import ARCHIVE NAME"
        )
    if query.text("fromSrc") != FROM_BODY:
        raise UnsupportedError(
            "labkit does not fetch archives: import it from the standard input, with fromSrc=-"
        )
    if query.text("platform"):
        raise UnsupportedError("labkit does not support platform yet")
    repository, tag = query.text("repo"), query.text("tag")
    if tag and not repository:
        raise InvalidParameterError(f"tag={tag} has no repo to be the tag of")
    reference = f"{repository}:{tag}" if tag else repository
    image = engine.images.import_tar(
        request.body_file(), reference, query.texts("changes"), query.text("message")
    )
    return Stream(_progress(image.id))


def _progress(image_id: str) -> Iterator[bytes]:
    yield msgspec.json.encode({"status": image_id}) + b"\r\n"


def inspect(engine: Engine, request: Request, reference: str) -> Answer:
    """`GET /images/{name}/json`."""
    return json_response(image_inspection(engine.images.resolve(reference)))


def remove(engine: Engine, request: Request, reference: str) -> Answer:
    """`DELETE /images/{name}?force=&noprune=`: what was untagged and what deleted.

    There are no parent images whose removal `noprune` could prevent.
    """
    users = {container.image_id: container.id for container in engine.list()}
    report = engine.images.remove(reference, force=request.query.flag("force"), users=users)
    return json_response(report)
