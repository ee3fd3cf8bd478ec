"""The documents behind the entries of `index.json`, and what these refer to."""

from collections.abc import Iterator, Sequence

from labkit.errors import NotFoundError
from labkit.images import models
from labkit.images.chains import chain_ids
from labkit.images.layout import DamagedStoreError, Layout, decode
from labkit.images.models import Descriptor, ImageConfig, Index, Manifest


class Documents:
    """Reads documents out of a layout; a blob never changes, so each is read once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[str, tuple[Manifest, ImageConfig]] = {}

    def read(self, manifest_digest: str) -> tuple[Manifest, ImageConfig]:
        """A manifest and its config.  Raises `NotFoundError` or `DamagedStoreError`."""
        known = self._known.get(manifest_digest)
        if known:
            return known
        data = self._layout.read_blob(manifest_digest)
        manifest = decode(data, Manifest, self._layout.blob_path(manifest_digest))
        data = self._layout.read_blob(manifest.config.digest)
        config = decode(data, ImageConfig, self._layout.blob_path(manifest.config.digest))
        if len(manifest.layers) != len(config.rootfs.diff_ids):
            raise DamagedStoreError(
                f"image {manifest.config.digest} lists {len(manifest.layers)} layers, "
                f"but its config {len(config.rootfs.diff_ids)}"
            )
        self._known[manifest_digest] = (manifest, config)
        return manifest, config

    def readable(
        self, entries: Sequence[Descriptor]
    ) -> Iterator[tuple[Descriptor, Manifest, ImageConfig]]:
        """The entries that are images, with their documents; damaged ones are passed over."""
        for entry in entries:
            if entry.media_type != models.MANIFEST:
                continue
            try:
                manifest, config = self.read(entry.digest)
            except (DamagedStoreError, NotFoundError):
                continue
            yield entry, manifest, config

    def blobs(self, entries: Sequence[Descriptor]) -> set[str]:
        """The digests of all blobs the entries stand on, their own included."""
        found = {entry.digest for entry in entries}
        for _, manifest, _ in self.readable(entries):
            found.add(manifest.config.digest)
            found.update(layer.digest for layer in manifest.layers)
        for entry in entries:
            if entry.media_type == models.INDEX:
                found |= self.blobs(self._members(entry))
        return found

    def chains(self, entries: Sequence[Descriptor]) -> set[str]:
        """The chain ids of all layers the entries stand on."""
        found: set[str] = set()
        for _, _, config in self.readable(entries):
            found.update(chain_ids(config.rootfs.diff_ids))
        for entry in entries:
            if entry.media_type == models.INDEX:
                found |= self.chains(self._members(entry))
        return found

    def _members(self, entry: Descriptor) -> list[Descriptor]:
        """The manifests of an image for several architectures, which only others write."""
        try:
            data = self._layout.read_blob(entry.digest)
            return decode(data, Index, self._layout.blob_path(entry.digest)).manifests
        except (DamagedStoreError, NotFoundError):
            return []
