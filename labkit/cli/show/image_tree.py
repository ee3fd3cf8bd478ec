"""`labkit images --tree`: each image, and below it those for single machines."""

from labkit.cli.show.table import short_id, table
from labkit.dialect.sizes import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

HEADINGS = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "USED")
UNTAGGED = "<untagged>"


def tree(images: "Iterable[dict[str, Any]]", full: bool) -> str:
    """Return a table of images of the API that have their `Manifests`."""
    return table(HEADINGS, [row for image in images for row in _rows(image, full)])


def _rows(image: "dict[str, Any]", full: bool) -> "Iterator[tuple[str, ...]]":
    manifests = image.get("Manifests") or []
    content = sum(each["Size"]["Content"] for each in manifests)
    total = sum(each["Size"]["Total"] for each in manifests)
    users = sum(len(each["ImageData"]["Containers"] or ()) for each in manifests)
    own = (short_id(image["Id"], full), human_size(total), human_size(content))
    used = str(users) if users else ""
    yield from ((name, *own, used) for name in image["RepoTags"] or [UNTAGGED])
    for number, each in enumerate(manifests, 1):
        platform = each["ImageData"]["Platform"]
        parts = (platform.get(key) for key in ("os", "architecture", "variant"))
        branch = "└─" if number == len(manifests) else "├─"
        sizes = (human_size(each["Size"]["Total"]), human_size(each["Size"]["Content"]))
        name = f"{branch} {'/'.join(filter(None, parts))}"
        yield (name, short_id(each["ID"], full), *sizes, "")
