"""`labkit images`: list images."""

import sys
import time

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import BAD_FLAG, UsageError
from labkit.cli.base.filters import filters_from
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.cli.show.table import short_id
from labkit.client.api import filters_json
from labkit.dialect.durations import ago
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

COMMAND = Command(
    "[OPTIONS] [REPOSITORY[:TAG]]",
    (
        Flag("all", "a", "bool", "Show all images, including parents of others"),
        Flag("digests", "", "bool", "Show the digests of their manifests"),
        Flag("filter", "f", "list", "Show those that match (reference=busybox, since=busybox, …)"),
        FORMAT,
        Flag("no-trunc", "", "bool", "Show IDs in full"),
        Flag("quiet", "q", "bool", "Show only IDs"),
        Flag("tree", "", "bool", "Show below each image those for single machines"),
    ),
    at_most=1,
)
HEADINGS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}
COLUMNS = ("Repository", "Tag", "ID", "CreatedSince", "Size")
WITH_DIGEST = ("Repository", "Tag", "Digest", "ID", "CreatedSince", "Size")
NONE = "<none>"
NOT_COUNTED = "N/A"
"""The value that only `system df` computes."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a table with a row for every name, or one id a line."""
    filters = filters_from(options["filter"])
    if arguments:
        filters.setdefault("reference", []).extend(arguments)
    query = {"all": options["all"], "filters": filters_json(filters), "manifests": options["tree"]}
    images = context.api().get("/images/json", **query)
    full = options["no_trunc"]
    if options["tree"]:
        return _show_tree(images, options)
    if options["quiet"]:
        ids = dict.fromkeys(short_id(image["Id"], full) for image in images)
        sys.stdout.writelines(f"{identifier}\n" for identifier in ids)
        return 0
    now = time.time()
    digests = options["digests"] or ".Digest" in options["format"]
    found = [row for image in images for row in rows(image, full, now, digests=digests)]
    columns = WITH_DIGEST if options["digests"] else COLUMNS
    sys.stdout.write(render(options["format"], HEADINGS, columns, found))
    return 0


def _show_tree(images: "list[dict[str, Any]]", options: "dict[str, Any]") -> int:
    for other in ("digests", "format", "quiet"):
        if options[other]:
            raise UsageError(f"--{other} cannot be used together with --tree", BAD_FLAG)
    from labkit.cli.show.image_tree import tree  # noqa: PLC0415 only with its flag

    sys.stdout.write(tree(images, options["no_trunc"]))
    return 0


def rows(image: "dict[str, Any]", full: bool, now_s: float, *, digests: bool) -> "Iterator[Row]":
    """Yield a line's fields for each of an image's names."""
    for repository, tag, digest in _names(image, digests=digests):
        yield Row(
            {
                "Repository": repository,
                "Tag": tag,
                "ID": short_id(image["Id"], full),
                "Digest": digest,
                "CreatedSince": ago(now_s - image["Created"]),
                "CreatedAt": time.strftime(
                    "%Y-%m-%d %H:%M:%S %z %Z", time.localtime(image["Created"])
                ),
                "Size": human_size(image["Size"]),
                "VirtualSize": human_size(image["Size"]),
                **dict.fromkeys(("Containers", "SharedSize", "UniqueSize"), NOT_COUNTED),
            }
        )


def _names(image: "dict[str, Any]", *, digests: bool) -> "Iterator[tuple[str, str, str]]":
    """Yield repository, tag and digest of each line, as Docker's command does.

    A tag is a line; with `digests` there is one for each digest of its repository.  A repository
    with digests alone is a line without a tag.
    """
    known: dict[str, list[str]] = {}
    for name in image.get("RepoDigests") or []:
        repository, _, digest = name.partition("@")
        known.setdefault(repository, []).append(digest)
    tags = [name.rpartition(":") for name in image["RepoTags"] or []]
    for repository, _, tag in tags:
        for digest in known.get(repository, [NONE]) if digests else [NONE]:
            yield repository, tag, digest
    tagged = {repository for repository, _, _ in tags}
    for repository in [name for name in known if name not in tagged]:
        for digest in known[repository] if digests else [NONE]:
            yield repository, NONE, digest
    if not tags and not known:
        yield NONE, NONE, NONE
