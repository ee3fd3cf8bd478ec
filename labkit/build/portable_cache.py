"""Caches outside of the engine: `--cache-to` writes one, `--cache-from` reads it.

A cache is kept in a *place*: a folder of the client, or a repository of a registry.  It knows a
step by a hash of its words and of the part of the config that it depends on, and by the layers
below it.  So an engine can use it that has only the base image of the build that wrote it.
"""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, NamedTuple, Protocol

from labkit.build import cache_documents as documents
from labkit.build.cache import Step
from labkit.build.cache_documents import Diffs, Kept, Made
from labkit.build.workroom import Workroom
from labkit.errors import InvalidParameterError
from labkit.images import Image, ImageStore
from labkit.images.layout import digest_of
from labkit.images.models import Descriptor

MODES = ("min", "max")
"""Which steps are written: those whose layers the result has, or all."""


class Place(Protocol):
    """A place that holds a cache.  All methods raise LabkitError."""

    name: str
    """Its name in messages."""

    def manifest(self) -> bytes:
        """Return the manifest; NotFoundError if there is none."""

    def fetch(self, blob: Descriptor, path: str) -> None:
        """Write a blob to a new file; the file then matches the digest and the size."""

    def put(self, blob: Descriptor, open_blob: Callable[[], BinaryIO]) -> None:
        """Store a blob, unless it is there."""

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        """Store the manifest, whose blobs are there, as the newest."""


class Found(NamedTuple):
    """A step in a cache; `kept` is its layer, None if it made none."""

    cache: "PortableCache"
    kept: Kept | None


class PortableCache:
    """A cache that was found in a place."""

    def __init__(self, place: Place, workroom: Workroom, manifest: bytes) -> None:
        """Read the config that `manifest` names.  LabkitError."""
        self._place = place
        self._workroom = workroom
        config = documents.config_of(manifest)
        if config is None:
            raise InvalidParameterError(f"{place.name} holds no cache of a build")
        with self._fetched(config) as file:
            self._steps = documents.read(manifest, file.read())

    def find(self, step: Step) -> Found | None:
        """Return what the cache has of a step; None if it does not know the step."""
        key = step.key
        if key is None:
            return None
        place = key, tuple(step.parent.diff_ids) if step.parent else ()
        return Found(self, self._steps[place]) if place in self._steps else None

    @contextmanager
    def open(self, kept: Kept) -> Iterator[BinaryIO]:
        """Fetch a layer, and open its archive during the block."""
        with self._fetched(kept.blob) as file:
            yield file

    @contextmanager
    def _fetched(self, blob: Descriptor) -> Iterator[BinaryIO]:
        with self._workroom.folder() as folder:
            path = os.path.join(folder, "blob")
            self._place.fetch(blob, path)
            with open(path, "rb") as file:
                yield file


def export(
    place: Place,
    store: ImageStore,
    steps: Sequence[tuple[Step, Image]],
    wanted: Callable[[Diffs], bool],
    report: Callable[[str], None],
) -> Descriptor:
    """Write a cache of a build's steps; return its manifest's descriptor.

    `wanted` says of the layers after a step whether to keep the step; `report` is called with the
    digest of each blob before it is written.  LabkitError, OSError.
    """
    made = [
        Made(key, below, tuple(image.diff_ids), image.layers)
        for step, image in steps
        if (key := step.key) is not None and wanted(tuple(image.diff_ids))
        for below in [tuple(step.parent.diff_ids) if step.parent else ()]
    ]
    blobs, data = documents.written(made)
    for blob in blobs:
        report(f"writing layer {blob.digest}")
        place.put(blob, partial(store.open_blob, blob.digest))
    config = Descriptor(documents.CONFIG, digest_of(data), len(data))
    report(f"writing config {config.digest}")
    place.put(config, lambda: io.BytesIO(data))
    manifest, encoded = documents.manifest_of(blobs, config)
    report(f"writing cache manifest {manifest.digest}")
    place.finish(manifest, encoded)
    return manifest
