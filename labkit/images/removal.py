"""Docker's rules for what `rmi` may take away."""

from typing import NamedTuple

from labkit.errors import ConflictError
from labkit.images import references
from labkit.images.image import Image

SHORT_ID_DIGITS = 12


class Removal(NamedTuple):
    """What is to happen: names that go, and whether the image goes with them."""

    names: list[str]
    deletes: bool


def decide(image: Image, reference: str, user: str, *, force: bool) -> Removal:
    """What removing `image` by this name or id means; `user` is a container that needs it, or "".

    A name takes itself away, the last one the image as well.  An id takes the image with all its
    names.  Raises `ConflictError` in Docker's words.
    """
    short = image.id.removeprefix("sha256:")[:SHORT_ID_DIGITS]
    name = _name_among(image.tags, reference)
    if user and not name:
        raise ConflictError(
            f"conflict: unable to delete {short} (cannot be forced) - "
            f"image is being used by container {user}"
        )
    if user and not force:
        raise ConflictError(
            f'conflict: unable to remove repository reference "{reference}" (must force) - '
            f"container {user} is using its referenced image {short}"
        )
    if not name and len(image.tags) > 1 and not force:
        raise ConflictError(
            f"conflict: unable to delete {short} (must be forced) - "
            "image is referenced in multiple repositories"
        )
    names = [name] if name else image.tags
    return Removal(names, deletes=not user and len(names) == len(image.tags))


def _name_among(tags: list[str], reference: str) -> str:
    """The one of an image's names that `reference` is, "" when it is an id."""
    if references.is_whole_id(reference):
        return ""
    familiar = references.parse(reference).familiar
    return familiar if familiar in tags else ""
