"""The entries of `index.json` and their names, as plain data: each function returns a new list.

A name is in one entry only.  An image has an entry for each of its names; one that has lost its
last name keeps an entry without: it is `<none>` in `labkit images`.

A name has a tag (`tool:1`) or the digest under which the image was pulled or pushed
(`tool@sha256:…`).  That is mostly the entry's own digest.  It is another one if the image was taken
out of an index for several machines, or if its layers were compressed on their way to the registry.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from labkit.errors import InvalidParameterError
from labkit.images import models, references
from labkit.images.models import Descriptor


def now() -> str:
    """Return the present moment as images have it, in UTC to a microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def name_of(entry: Descriptor) -> str:
    """Return an entry's name as people write it, "" if it has none or one invalid in Docker."""
    text = (entry.annotations or {}).get(models.REF_NAME, "")
    try:
        return references.parse(text).familiar if text else ""
    except InvalidParameterError:
        return ""


def parent_of(entry: Descriptor) -> str:
    """Return the id of the image that this one was made from, "" if there is none."""
    return (entry.annotations or {}).get(models.PARENT, "")


def tagged_of(entry: Descriptor) -> str:
    """Return the moment when the image got the name of this entry, "" if it is not known."""
    return (entry.annotations or {}).get(models.TAGGED, "")


def enter(
    entries: Sequence[Descriptor],
    new: Descriptor,
    name: str = "",
    parent: str = "",
    moment: str = "",
) -> list[Descriptor]:
    """Add an image, with `name` or without; an image that had the name keeps existing.

    `parent` is the id of the image that it was made from, "" to keep the known one.  `moment` is
    the present time; a name that the image has already keeps its own, so that nothing changes.
    """
    same = (old for old in entries if (old.digest, name_of(old)) == (new.digest, name))
    moment = next(filter(None, map(tagged_of, same)), moment)
    parent = parent or next((parent_of(old) for old in entries if old.digest == new.digest), "")
    kept = without_name(entries, name) if name else list(entries)
    if name:
        kept = [entry for entry in kept if entry.digest != new.digest or name_of(entry)]
        kept.append(_written(new, name, parent, moment))
    elif all(entry.digest != new.digest for entry in kept):
        kept.append(_written(new, "", parent))
    return kept


def without_name(entries: Sequence[Descriptor], name: str) -> list[Descriptor]:
    """Remove a name; an image that loses its last name becomes dangling."""
    kept = [entry for entry in entries if name_of(entry) != name]
    for entry in entries:
        if all(other.digest != entry.digest for other in kept):
            kept.append(_written(entry, "", parent_of(entry)))
    return kept


def _written(entry: Descriptor, name: str, parent: str, moment: str = "") -> Descriptor:
    annotations = {models.REF_NAME: name, models.PARENT: parent, models.TAGGED: moment}
    return Descriptor(
        entry.media_type,
        entry.digest,
        entry.size,
        platform=entry.platform,
        annotations={key: value for key, value in annotations.items() if value} or None,
    )
