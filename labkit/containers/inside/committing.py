"""An image from a container: its writable layer becomes a layer on top of its image's."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from msgspec.structs import replace

from labkit.containers.life import pausing
from labkit.containers.parts import Parts
from labkit.containers.records import states
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container
from labkit.dialect.moments import timestamp
from labkit.errors import ConflictError, InvalidParameterError
from labkit.images import Image, RuntimeConfig, changes, references
from labkit.images.models import History, ImageConfig


class Commit(NamedTuple):
    """The options of a commit besides the container."""

    reference: str = ""
    """The image's name, "" for none."""
    author: str = ""
    comment: str = ""
    changes: Sequence[str] = ()
    """Dockerfile instructions that change the image's configuration."""
    config: RuntimeConfig | None = None
    """The image's configuration; fields it leaves empty are taken from the container."""
    pause: bool = True
    """Freeze the container during the commit, so that its files are consistent."""


def commit(parts: Parts, entry: Entry, asked: Commit) -> Image:
    """Make the image; ConflictError if the container is removed before it is done.

    InvalidParameterError for a bad name or change.
    """
    container = entry.container
    image = parts.images.resolve(container.image_id)
    config = config_of(container, image, asked)
    folder, layers = parts.records.folder(container.id), image.layer_directories()
    with parts.images.draft() as draft:
        draft.start_from(image)
        try:
            with (
                _paused(parts, entry, wanted=asked.pause),
                parts.snapshots.written(folder, layers) as upper,
            ):
                is_empty = not draft.has_changes(upper)
                if not is_empty:
                    draft.copy_upper(upper)
        except (FileNotFoundError, InvalidParameterError):
            if not entry.removed:
                raise
        if entry.removed:
            raise ConflictError(f"container {container.name} was removed while it was committed")
        names = [asked.reference] if asked.reference else []
        document = _document(image, container, config, asked, is_empty=is_empty)
        made = draft.commit(document, names=names, parent=image.id)
    name = references.parse(asked.reference).familiar if asked.reference else ""
    if name:
        parts.events.publish_image("tag", made, name)
    attributes = {"comment": asked.comment, "imageID": made.id, "imageRef": name}
    parts.publish("commit", entry, **attributes)
    return made


@contextmanager
def _paused(parts: Parts, entry: Entry, *, wanted: bool) -> Iterator[None]:
    """Freeze the container if that is wanted and it runs; not if it is frozen already."""
    is_ours = False
    if wanted and entry.container.state.status == states.RUNNING:
        # The container has just ended, or it has no cgroup that could be frozen.
        with suppress(ConflictError, InvalidParameterError):
            pausing.pause(parts, entry)
            is_ours = True
    try:
        yield
    finally:
        if is_ours:
            with suppress(ConflictError):  # it was unpaused, or killed
                pausing.unpause(parts, entry)


def config_of(container: Container, image: Image, asked: Commit) -> RuntimeConfig:
    """The new image's configuration: the commit's, completed from the container's.

    A new entrypoint drops the old command (Docker's rule).
    """
    given = replace(asked.config) if asked.config else RuntimeConfig()
    base = _base(container, image)
    given.working_dir = given.working_dir or base.working_dir
    given.env = list((_by_name(base.env) | _by_name(given.env)).values()) or None
    changes.apply(asked.changes, given)
    if given.entrypoint is None:
        given.entrypoint = base.entrypoint
        given.cmd = base.cmd if given.cmd is None else given.cmd
    given.exposed_ports = {**(base.exposed_ports or {}), **(given.exposed_ports or {})} or None
    given.volumes = {**(base.volumes or {}), **(given.volumes or {})} or None
    given.labels = {**(base.labels or {}), **(given.labels or {})} or None
    given.user = given.user or base.user
    given.stop_signal = given.stop_signal or base.stop_signal
    given.healthcheck = given.healthcheck or base.healthcheck
    return given


def _base(container: Container, image: Image) -> RuntimeConfig:
    """The container's configuration in the fields of an image."""
    config = container.config
    entrypoint, command = _words(config.entrypoint), _words(config.cmd)
    if entrypoint is None:
        entrypoint = image.config.entrypoint
        command = command or image.config.cmd
    return RuntimeConfig(
        user=config.user,
        exposed_ports=image.config.exposed_ports,
        env=config.env,
        entrypoint=entrypoint,
        cmd=command,
        volumes=config.volumes,
        working_dir=config.working_dir,
        labels=config.labels,
        stop_signal=config.stop_signal,
        healthcheck=config.healthcheck,
    )


def _words(value: list[str] | str | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


def _by_name(env: Sequence[str] | None) -> dict[str, str]:
    return {entry.partition("=")[0]: entry for entry in env or []}


def _document(
    image: Image, container: Container, config: RuntimeConfig, asked: Commit, *, is_empty: bool
) -> ImageConfig:
    created = timestamp(time.time_ns())
    entry = History(
        created=created,
        created_by=" ".join(container.command),
        author=asked.author,
        comment=asked.comment,
        empty_layer=is_empty,
    )
    return replace(
        image.document,
        created=created,
        author=asked.author,
        config=config,
        history=[*image.history, entry],
    )
