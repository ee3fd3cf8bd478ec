"""Removing what a page has made under fixed names: at its end, and before it begins again."""

from collections.abc import Iterable
from contextlib import suppress

from labkit.client.api import network_path
from labkit.course.page.lab import connect
from labkit.errors import ConflictError, NotFoundError


def clear(
    *,
    containers: Iterable[str] = (),
    images: Iterable[str] = (),
    volumes: Iterable[str] = (),
    networks: Iterable[str] = (),
) -> None:
    """Remove containers, images, volumes and networks; one that does not exist is no error.

    A running container is killed first.  A container's anonymous volumes are removed with it, and
    an image's containers with the image.  If images are named, all dangling images are removed
    too, as `docker image prune` does: a newer build takes the name of an older one.
    """
    client = connect()
    for name in containers:
        # Conflict: the engine is already removing the container (`--rm`, or an earlier command).
        with suppress(NotFoundError, ConflictError):
            client.containers.get(name).remove(force=True, v=True)
    names = list(images)
    for name in names:
        for container in client.containers.list(all=True, filters={"ancestor": name}):
            container.remove(force=True, v=True)
        with suppress(NotFoundError):
            client.images.remove(name, force=True)
    if names:
        client.api.post("/images/prune")
    for name in volumes:
        with suppress(NotFoundError):
            client.volumes.get(name).remove()
    for name in networks:
        with suppress(NotFoundError):
            client.api.delete(network_path(name))
