"""What a page has made under names of its own, removed: at its end, and before it begins again."""

from collections.abc import Iterable
from contextlib import suppress

from labkit.course.page.lab import connect
from labkit.errors import NotFoundError


def clear(*, containers: Iterable[str] = (), images: Iterable[str] = ()) -> None:
    """Remove containers and images, running or not; one that is not there is no error.

    With a container go its anonymous volumes, with an image the containers made from it, and last
    of all the images that have lost their name to a newer build (dangling ones, as `docker image
    prune` removes them).
    """
    client = connect()
    for name in containers:
        with suppress(NotFoundError):
            client.containers.get(name).remove(force=True, v=True)
    for name in images:
        for container in client.containers.list(all=True, filters={"ancestor": name}):
            container.remove(force=True, v=True)
        with suppress(NotFoundError):
            client.images.remove(name, force=True)
    client.api.post("/images/prune")
