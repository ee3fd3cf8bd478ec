"""The common parts of the base images: how to recognise them, and how a build can fail."""

from collections.abc import Callable

from labkit.errors import LabkitError, NotFoundError
from labkit.images.image import Image
from labkit.images.store import ImageStore

Progress = Callable[[str], None]
"""A function that is called with one line at times, perhaps from another thread."""

LABEL = "labkit.base"
"""The label with the ingredients of an image: if they are the same, it is not made again."""

PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BaseImageError(LabkitError):
    """A base image cannot be made on this machine; the message says what is missing."""


def image_there(store: ImageStore, name: str) -> Image | None:
    """Return the image that has this name now, or None."""
    try:
        return store.resolve(name)
    except NotFoundError:
        return None


def is_current(image: Image, ingredients: str) -> bool:
    """Whether an image was made from just these ingredients.

    An image that was imported or pulled under the name is the user's own choice, so it is current,
    too.
    """
    return (image.config.labels or {}).get(LABEL, ingredients) == ingredients


def label_change(ingredients: str) -> str:
    """Return the instruction that labels an image with its ingredients."""
    return f'LABEL {LABEL}="{ingredients}"'
