"""The documents that the entries of `index.json` name, and the blobs that these refer to."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from labkit.errors import NotFoundError
from labkit.images import models, platforms
from labkit.images.chains import chain_ids
from labkit.images.layout import DamagedStoreError, Layout, decode
from labkit.images.models import Descriptor, ImageConfig, Index, Manifest

_TIME = Annotated[datetime, msgspec.Meta(tz=True)]
REMEMBERED_MAX_BYTES = 256 << 10
"""Larger documents are read each time: in memory a map takes many times its size."""


class Documents:
    """Reads documents out of a layout; a blob never changes, so each is read once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[str, tuple[Manifest, ImageConfig]] = {}

    def read(self, digest: str) -> tuple[Manifest, ImageConfig]:
        """Return a manifest and its config; for an index, those for this machine.

        Raises `NotFoundError` or `DamagedStoreError`.
        """
        known = self._known.get(digest)
        if known:
            return known
        data, path = self._layout.read_blob(digest), self._layout.blob_path(digest)
        if decode(data, models.Kind, path).is_index():
            found = self.read(for_this_machine(decode(data, Index, path)).digest)
        else:
            manifest = decode(data, Manifest, path)
            found = manifest, self._config(manifest)
        if len(data) + found[0].config.size <= REMEMBERED_MAX_BYTES:
            self._known[digest] = found
        return found

    def _config(self, manifest: Manifest) -> ImageConfig:
        data = self._layout.read_blob(manifest.config.digest)
        config = decode(data, ImageConfig, self._layout.blob_path(manifest.config.digest))
        if len(manifest.layers) != len(config.rootfs.diff_ids):
            raise DamagedStoreError(
                f"image {manifest.config.digest} lists {len(manifest.layers)} layers, "
                f"but its config lists {len(config.rootfs.diff_ids)}"
            )
        check_times(config, manifest.config.digest)
        return config

    def readable(
        self, entries: Sequence[Descriptor]
    ) -> Iterator[tuple[Descriptor, Manifest, ImageConfig]]:
        """Yield the entries that are images, with their documents; damaged ones are skipped."""
        for entry in entries:
            if entry.media_type not in models.MANIFESTS | models.INDEXES:
                continue
            try:
                manifest, config = self.read(entry.digest)
            except (DamagedStoreError, NotFoundError):
                continue
            yield entry, manifest, config

    def blobs(self, entries: Sequence[Descriptor]) -> set[str]:
        """Return the digests of all blobs that the entries need, their own included."""
        found = {entry.digest for entry in entries}
        for entry in entries:
            if entry.media_type in models.INDEXES:
                found |= self.blobs(self._members(entry))
                continue
            manifest = self._manifest(entry)
            if manifest is not None:
                found.add(manifest.config.digest)
                found.update(layer.digest for layer in manifest.layers)
        return found

    def chains(self, entries: Sequence[Descriptor]) -> set[str]:
        """Return the chain ids of all layers that the entries need."""
        found: set[str] = set()
        for _, _, config in self.readable(entries):
            found.update(chain_ids(config.rootfs.diff_ids))
        for entry in entries:
            if entry.media_type in models.INDEXES:
                found |= self.chains(self._members(entry))
        return found

    def _manifest(self, entry: Descriptor) -> Manifest | None:
        """Return a manifest of any kind; None if it cannot be read."""
        known = self._known.get(entry.digest)
        if known:
            return known[0]
        try:
            data = self._layout.read_blob(entry.digest)
            return decode(data, Manifest, self._layout.blob_path(entry.digest))
        except (DamagedStoreError, NotFoundError):
            return None

    def _members(self, entry: Descriptor) -> list[Descriptor]:
        """Return the manifests of an image for several architectures."""
        try:
            data = self._layout.read_blob(entry.digest)
            index = decode(data, Index, self._layout.blob_path(entry.digest))
        except (DamagedStoreError, NotFoundError):
            return []
        return members(index)


def check_times(config: ImageConfig, name: str) -> None:
    """Raise DamagedStoreError for an invalid time (RFC 3339, with its zone)."""
    for text in (config.created, *(entry.created for entry in config.history or [])):
        try:
            if text:
                msgspec.convert(text, _TIME)
        except msgspec.ValidationError:
            raise DamagedStoreError(
                f"image {name} has an invalid time of creation: {text!r}"
            ) from None


def members(index: Index) -> list[Descriptor]:
    """Return the images of an index; an index within an index is not followed."""
    return [member for member in index.manifests if member.media_type not in models.INDEXES]


def for_this_machine(index: Index) -> Descriptor:
    """Return the member of an index that a pull chooses on this machine; NotFoundError."""
    return platforms.choose(index.manifests, platforms.own_platform())
