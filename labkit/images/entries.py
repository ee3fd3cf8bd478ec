"""The entries of `index.json` and their names, as plain data: each function gives a new list.

A name stands in one entry only.  An image has an entry for each of its names; one that has lost its
last name keeps an entry without: it is *dangling* (`<none>` in `labkit images`).
"""

from collections.abc import Sequence

from labkit.errors import InvalidParameterError
from labkit.images import models, references
from labkit.images.models import Descriptor


def name_of(entry: Descriptor) -> str:
    """An entry's name as people write it, "" if it has none or one that is no Docker name."""
    text = (entry.annotations or {}).get(models.REF_NAME, "")
    try:
        return references.parse(text).familiar if text else ""
    except InvalidParameterError:
        return ""


def enter(entries: Sequence[Descriptor], new: Descriptor, name: str = "") -> list[Descriptor]:
    """Add an image, under `name` or without one; an image that had the name keeps existing."""
    kept = without_name(entries, name) if name else list(entries)
    if name:
        kept = [entry for entry in kept if entry.digest != new.digest or name_of(entry)]
        kept.append(_bare(new, {models.REF_NAME: name}))
    elif all(entry.digest != new.digest for entry in kept):
        kept.append(_bare(new))
    return kept


def without_name(entries: Sequence[Descriptor], name: str) -> list[Descriptor]:
    """Take a name away; an image whose only name it was becomes dangling."""
    kept = [entry for entry in entries if name_of(entry) != name]
    for entry in entries:
        if all(other.digest != entry.digest for other in kept):
            kept.append(_bare(entry))
    return kept


def _bare(entry: Descriptor, annotations: dict[str, str] | None = None) -> Descriptor:
    return Descriptor(
        entry.media_type,
        entry.digest,
        entry.size,
        platform=entry.platform,
        annotations=annotations,
    )
