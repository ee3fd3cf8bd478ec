"""`labkit system df --verbose`: every image, container and volume with its size."""

import time

from labkit.cli.containers import ps
from labkit.cli.images import ls as images
from labkit.cli.show.formats import Row, render
from labkit.cli.show.table import short_id
from labkit.dialect.durations import ago
from labkit.dialect.moments import parse_s
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

IMAGES = {
    **{name: images.HEADINGS[name] for name in images.COLUMNS},
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
CONTAINERS = {
    name: ps.HEADINGS[name]
    for name in ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
}
VOLUMES = {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}
CACHES = {"ID": "CACHE ID", "CacheType": "CACHE TYPE", "Size": "SIZE", "LastUsedSince": "LAST USED"}


def details(usage: "dict[str, Any]") -> str:
    """Return the answer of `/system/df` as tables, in Docker's order and words."""
    now = time.time()
    of_containers = [_container(each, now) for each in usage["Containers"]]
    parts = (
        ("Images", IMAGES, [row for each in usage["Images"] for row in _images(each, now)]),
        ("Containers", CONTAINERS, of_containers),
        ("Local Volumes", VOLUMES, [_volume(each) for each in usage["Volumes"]]),
    )
    caches = usage["BuildCache"]
    tables = (
        f"{title} space usage:\n\n{render('', headings, tuple(headings), rows)}"
        for title, headings, rows in parts
    )
    # A build's reusable results are images; the caches that RUN mounts exist besides.
    cached = f"Build cache usage: {human_size(sum(each['Size'] for each in caches))}\n"
    rows = [_cache(each, now) for each in caches]
    listed = [f"\n{render('', CACHES, tuple(CACHES), rows)}"] if rows else []
    return "\n".join([*tables, cached]) + "".join(listed)


def _images(image: "dict[str, Any]", now_s: float) -> "Iterator[Row]":
    shared = max(image["SharedSize"], 0)
    for row in images.rows(image, False, now_s, digests=False):
        yield Row(
            row
            | {
                "SharedSize": human_size(shared),
                "UniqueSize": human_size(image["Size"] - shared),
                "Containers": str(image["Containers"]),
            }
        )


def _container(container: "dict[str, Any]", now_s: float) -> Row:
    written = {"Size": human_size(container.get("SizeRw") or 0)}
    return Row(ps.row(container, False, now_s) | written)


def _volume(volume: "dict[str, Any]") -> Row:
    used = volume["UsageData"]
    return Row(
        {"Name": volume["Name"], "Links": str(used["RefCount"]), "Size": human_size(used["Size"])}
    )


def _cache(cache: "dict[str, Any]", now_s: float) -> Row:
    return Row(
        {
            "ID": short_id(cache["ID"]),
            "CacheType": cache["Type"],
            "Size": human_size(cache["Size"]),
            "LastUsedSince": ago(now_s - parse_s(cache["LastUsedAt"], now_s)),
        }
    )
