"""The use of the disk, and the removal of unused images."""

import time
from collections import Counter

from labkit.build.workroom import CACHE_MOUNTS
from labkit.containers import Container, Engine
from labkit.containers.given.volumes import Volume
from labkit.daemon import filters
from labkit.daemon.filters import Filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, json_response
from labkit.daemon.routes.images import publish_removal
from labkit.daemon.routes.pruned import publish_prune
from labkit.daemon.shapes import mounts as mount_shapes
from labkit.daemon.shapes.containers import JsonObject, summary, written_bytes
from labkit.daemon.shapes.images import image_summary
from labkit.dialect.moments import parse_s, timestamp, unix_s
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError
from labkit.images import Image
from labkit.snapshots.comparing import size_bytes

PRUNE_FILTERS = ("dangling", "label", "label!", "until")


def usage(engine: Engine, request: Request) -> Answer:
    """`GET /system/df?type=`: images, containers, volumes, caches, with their sizes in bytes."""
    kinds = request.query.texts("type") or list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidParameterError(f"unknown object type: {kind}")
    layers_bytes = sum(engine.images.chain_sizes().values())
    answer: JsonObject = {"LayersSize": layers_bytes}
    for kind in kinds:
        name, list_them = KINDS[kind]
        answer[name] = list_them(engine)
    return json_response(answer)


def _images(engine: Engine) -> list[JsonObject]:
    shared = engine.images.shared_sizes()
    users = Counter(container.image_id for container in engine.list())
    return [
        image_summary(image, shared.get(image.id)) | {"Containers": users[image.id]}
        for image in engine.images.list()
    ]


def _containers(engine: Engine) -> list[JsonObject]:
    return [_container(engine, container) for container in engine.list()]


def _container(engine: Engine, container: Container) -> JsonObject:
    own_bytes = written_bytes(engine, container)
    image_bytes = engine.images.resolve(container.image_id).size_bytes
    sizes = {"SizeRw": own_bytes, "SizeRootFs": image_bytes + own_bytes}
    return summary(engine, container) | sizes


def _volumes(engine: Engine) -> list[JsonObject]:
    return [_volume(volume) for volume in engine.volumes.list()]


def _volume(volume: Volume) -> JsonObject:
    used = {"Size": size_bytes(volume.data), "RefCount": len(volume.users)}
    return mount_shapes.volume(volume) | {"UsageData": used}


def _caches(engine: Engine) -> list[JsonObject]:
    """The caches of `RUN --mount=type=cache`.  A build's other caches are images."""
    return [
        {
            "ID": cache.name,
            "Type": "exec.cachemount",
            "Description": "cached mount of a RUN",
            "InUse": cache.is_in_use,
            "Shared": False,
            "Size": cache.size_bytes,
            "CreatedAt": timestamp(int(cache.changed_s * 1e9)),
            "LastUsedAt": timestamp(int(cache.changed_s * 1e9)),
            "UsageCount": 0,
        }
        for cache in CACHE_MOUNTS.all(engine.paths)
    ]


KINDS = {
    "image": ("Images", _images),
    "container": ("Containers", _containers),
    "volume": ("Volumes", _volumes),
    "build-cache": ("BuildCache", _caches),
}


def prune_images(engine: Engine, request: Request) -> Answer:
    """`POST /images/prune?filters=`: the removed images, and the number of bytes freed.

    It removes images without a name or, with `dangling=false`, all images without a container.
    """
    asked = filters.parse(request.query.text("filters"), PRUNE_FILTERS)
    only_dangling = filters.truth(asked, "dangling") is not False
    before_s = min((parse_s(text, time.time()) for text in asked.get("until", [])), default=None)
    report: list[dict[str, str]] = []
    sizes = engine.images.chain_sizes()
    for image in engine.images.list():
        users = engine.image_users()
        if image.id in users or (only_dangling and image.tags):
            continue
        if _may_go(image, asked, before_s):
            report += _remove(engine, image)
    reclaimed_bytes = sum(sizes.get(line.get("Deleted", ""), 0) for line in report)
    publish_prune(engine, "image", reclaimed_bytes)
    return json_response({"ImagesDeleted": report or None, "SpaceReclaimed": reclaimed_bytes})


def _may_go(image: Image, asked: Filters, before_s: float | None) -> bool:
    labels = image.config.labels
    return (
        (before_s is None or unix_s(image.created) < before_s)
        and filters.has_labels(asked, labels)
        and filters.lacks_labels(asked, labels)
    )


def _remove(engine: Engine, image: Image) -> list[dict[str, str]]:
    try:
        report = engine.images.remove(image.id, force=True, users=engine.image_users())
    except (ConflictError, NotFoundError):
        return []  # other images were made from it, or it was removed in the meantime
    publish_removal(engine, image, report)
    return report
