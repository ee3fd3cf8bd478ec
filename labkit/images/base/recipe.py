"""What the base images have in common: how they are recognised, and how a build can fail."""

from collections.abc import Callable

from labkit.errors import LabkitError, NotFoundError
from labkit.images.image import Image
from labkit.images.store import ImageStore

Progress = Callable[[str], None]
"""Called with one line now and then, perhaps from another thread."""

LABEL = "labkit.base"
"""The label that says what an image was made from: same ingredients, nothing to do."""

PATH = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class BaseImageError(LabkitError):
    """A base image cannot be made on this machine; the message says what is missing."""


def image_there(store: ImageStore, name: str) -> Image | None:
    """The image that has this name now."""
    try:
        return store.resolve(name)
    except NotFoundError:
        return None


def is_current(image: Image, ingredients: str) -> bool:
    """Whether an image was made from just these ingredients.

    One that was not made here (imported or pulled under the name) is the user's own choice, so it
    is current too.
    """
    return (image.config.labels or {}).get(LABEL, ingredients) == ingredients


def label_change(ingredients: str) -> str:
    """The instruction that labels an image with its ingredients."""
    return f'LABEL {LABEL}="{ingredients}"'
