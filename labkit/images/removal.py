"""Docker's rules for what `rmi` may remove."""

from typing import NamedTuple

from labkit.errors import ConflictError
from labkit.images import references
from labkit.images.image import Image

SHORT_ID_DIGITS = 12


class ImageUser(NamedTuple):
    """A container that uses an image."""

    container_id: str
    is_running: bool

    def __str__(self) -> str:
        return f"container {self.container_id[:SHORT_ID_DIGITS]}"


class Removal(NamedTuple):
    """The decision: the names to remove, and whether to delete the image."""

    names: list[str]
    deletes: bool


def decide(
    image: Image, reference: str, user: ImageUser | None, *, force: bool, has_children: bool
) -> Removal:
    """Decide what removing `image` by this name or id does; `user` is a container that needs it.

    A name removes itself, the last one also the image; the last tag of a repository also removes
    that repository's digests.  An id removes the image with all its names, and so does a digest
    that no registry gave.  Raises `ConflictError` in Docker's words.  An image that a container
    uses stays, nameless, even if `force` removes its names.
    """
    name = _name_among(image.names, reference)
    if name:
        _check_name(image, reference, user, force=force)
    else:
        _check_id(image, user, force=force, has_children=has_children)
    names = [name, *_follow(name, image)] if name else image.names
    is_last = len(names) == len(image.names)
    return Removal(names, deletes=is_last and user is None and not has_children)


def _check_name(image: Image, reference: str, user: ImageUser | None, *, force: bool) -> None:
    if user and _is_of_one_repository(image) and not force:
        raise ConflictError(
            f'conflict: unable to remove repository reference "{reference}" (must force) - '
            f"{user} is using its referenced image {short_id(image)}"
        )


def _check_id(image: Image, user: ImageUser | None, *, force: bool, has_children: bool) -> None:
    conflict = f"conflict: unable to delete {short_id(image)}"
    if has_children:
        raise ConflictError(f"{conflict} (cannot be forced) - image has dependent child images")
    if user and user.is_running:
        raise ConflictError(
            f"{conflict} (cannot be forced) - image is being used by running {user}"
        )
    if image.names and not _is_of_one_repository(image) and not force:
        raise ConflictError(
            f"{conflict} (must be forced) - image is referenced in multiple repositories"
        )
    if user and not force:
        raise ConflictError(f"{conflict} (must be forced) - image is being used by stopped {user}")


def short_id(image: Image) -> str:
    """Return the beginning of the id, as people see it."""
    return image.id.removeprefix("sha256:")[:SHORT_ID_DIGITS]


def _is_of_one_repository(image: Image) -> bool:
    """Whether its names are of one repository, and at most one of them is a tag."""
    repositories = {references.repository_of(name) for name in image.names}
    return len(repositories) == 1 and len(image.tags) <= 1


def _follow(name: str, image: Image) -> list[str]:
    """Return the digests to remove with a name: those of its repository, if it is the last tag."""
    repository = references.repository_of(name)
    others = [
        other
        for other in image.names
        if other != name and references.repository_of(other) == repository
    ]
    is_last_tag = not references.is_digest(name) and all(map(references.is_digest, others))
    return others if is_last_tag else []


def _name_among(names: list[str], reference: str) -> str:
    """Return the image's name that `reference` means, "" if it means the image itself."""
    if references.is_whole_id(reference):
        return ""
    familiar = references.parse(reference).familiar
    return familiar if familiar in names else ""
