"""Images that a scene makes, and that tidying finds again by their label."""

from collections.abc import Mapping
from contextlib import suppress

from labkit.course.exercises.drawing import Values
from labkit.course.exercises.looks.trials import archive
from labkit.course.exercises.place import Place
from labkit.errors import LabkitError

LABEL = "labkit.exercise"


def make(
    place: Place, values: Values, name: str, files: Mapping[str, bytes], base: str = "busybox"
) -> str:
    """Make an image with one layer more than `base`, which holds these files; its id."""
    repository, _, tag = name.partition(":")
    container = place.client.containers.create(base, ["true"], name=f"maker-{values.mark}")
    try:
        container.put_archive("/", archive(files))
        label = f"LABEL {LABEL}={values.mark}"
        return container.commit(repository, tag or "latest", changes=[label]).id
    finally:
        container.remove(force=True)


def remove(place: Place, values: Values) -> None:
    """Remove the images that `make` has made, also those that have lost their names."""
    made = [one for one in place.client.images.list() if one.labels.get(LABEL) == values.mark]
    ids = {one.id for one in made}
    for container in place.client.containers.list(all=True):
        if container.attrs["Image"] in ids:
            with suppress(LabkitError):
                container.remove(force=True)
    for one in made:
        with suppress(LabkitError):
            place.client.images.remove(one.id, force=True)
