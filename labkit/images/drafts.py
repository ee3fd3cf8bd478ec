"""An image in progress: layer upon layer, and invisible before the end.

    with store.draft() as draft:
        draft.start_from(store.resolve("busybox"))
        draft.add_tar(archive)
        image = draft.commit(document, names=["tool:1.0"])

A draft first records all that it brings into the store (`labkit.images.staging.Claim`).  Leaving
the block without a commit removes that again; if this process was killed, the next one to open the
store does so.  Blobs and layers that the claim names stay as long as the draft does, even if images
are removed.  One thread uses a draft; several drafts may exist at once, even with the same layers.
"""

import errno
import os
from collections.abc import Collection, Iterable, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
from msgspec.structs import replace

from labkit.errors import InvalidParameterError
from labkit.images import layers, models, references
from labkit.images import packed_uppers as uppers
from labkit.images.chains import chain_ids
from labkit.images.entries import enter, now
from labkit.images.holdings import Holdings, subfolder
from labkit.images.image import Image
from labkit.images.layers import LayerNote, PackedLayer
from labkit.images.layout import DamagedStoreError, digest_of, encode
from labkit.images.models import Descriptor, ImageConfig, Manifest, RootFs
from labkit.images.staging import Claim, Folder


class LayerInfo(NamedTuple):
    """A layer of a draft."""

    descriptor: Descriptor
    """The blob: media type, digest, size in bytes."""
    diff_id: str
    """The digest of the plain archive."""
    size_bytes: int
    """The sum of the files' sizes."""


class Draft:
    """An image in progress; made by `ImageStore.draft()`."""

    def __init__(self, holdings: Holdings, folder: Folder) -> None:
        self._holdings = holdings
        self._folder = folder
        self._layers: list[LayerInfo] = []
        self.claim = Claim([], [])

    # Its layers

    def start_from(self, image: Image) -> None:
        """Begin with all layers of an image."""
        with self._holdings.layout.locked():
            blobs = [image.digest, image.id, *(layer.digest for layer in image.layers)]
            self._hold(blobs, chain_ids(image.diff_ids))
        image.layer_directories()
        for layer, diff_id, chain_id in zip(
            image.layers, image.diff_ids, chain_ids(image.diff_ids), strict=True
        ):
            note = self._holdings.layers.note(chain_id)
            self._layers.append(LayerInfo(layer, diff_id, note.size_bytes if note else 0))

    def add_tar(self, stream: BinaryIO) -> LayerInfo:
        """Put a layer on top from its archive: plain, or compressed by gzip, zstd, bzip2 or xz.

        InvalidParameterError if it is damaged or hostile; then the draft is unchanged.
        """
        folder = subfolder(self._folder)
        packed = layers.receive(stream, folder, self._below(), self._holdings.snapshots)
        return self._take_in(packed, os.path.join(folder.path, layers.TREE))

    def add_upper(self, upper: str) -> LayerInfo:
        """Put an overlayfs `upperdir` on top, to which no process writes any more.

        The folder is moved into the store if it is on the same file system, and the store keeps
        layers in overlayfs's form.
        """
        if not self._holdings.snapshots.is_union:
            return self.copy_upper(upper)
        left_out = self._not_to_pack(upper)
        folder = subfolder(self._folder)
        packed = layers.pack(upper, left_out, folder)
        uppers.remove(upper, left_out)
        tree = os.path.join(folder.path, layers.TREE)
        try:
            os.rename(upper, tree)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with open(packed.blob_path, "rb") as blob:
                layers.unpack(blob, folder, self._below(), self._holdings.snapshots)
        return self._take_in(packed, tree)

    def copy_upper(self, upper: str) -> LayerInfo:
        """Put an `upperdir` on top that stays, as that of a committed container does.

        The layer is unpacked at its first use.
        """
        marked = not self._holdings.snapshots.is_union
        left_out = self._not_to_pack(upper)
        packed = layers.pack(upper, left_out, subfolder(self._folder), marked=marked)
        return self._take_in(packed, "")

    def add_known(self, diff_id: str) -> bool:
        """Put a layer on top that an image has at the same place; False if none has."""
        chain_id = chain_ids([*self._diff_ids(), diff_id])[-1]
        with self._holdings.layout.locked():
            found = self._holdings.layer_of(chain_id)
            if found is None:
                return False
            self._hold([found.digest], [chain_id])
        note = self._holdings.layers.note(chain_id)
        self._layers.append(LayerInfo(found, diff_id, note.size_bytes if note else 0))
        return True

    def has_changes(self, upper: str) -> bool:
        """Whether a writable layer has anything that a layer would keep."""
        return not uppers.is_empty(upper, self._not_to_pack(upper))

    def has_blob(self, digest: str) -> bool:
        """Whether the store has this blob; from then on the draft keeps it."""
        with self._holdings.layout.locked():
            if not self._holdings.layout.has_blob(digest):
                return False
            self._hold([digest])
            return True

    def place(self, name: str) -> str:
        """Return a path for a file that `adopt_blob` will take; the draft removes it at its end."""
        return os.path.join(self._folder.path, name)

    def adopt_blob(self, path: str, descriptor: Descriptor) -> None:
        """Move a file of the same file system in as a blob; the caller verifies its digest.

        `commit_manifest` will name it.
        """
        with self._holdings.layout.locked():
            self._hold([descriptor.digest])
            self._holdings.layout.adopt_blob(path, descriptor.digest)

    def unpack_layer(self, layer: Descriptor, diff_ids: Sequence[str]) -> None:
        """Unpack a blob of the store, for `commit_manifest`.

        `diff_ids` are those of the layers up to this one, which are unpacked by now.
        InvalidParameterError, DamagedStoreError.
        """
        chain = chain_ids(diff_ids)
        with self._holdings.layout.locked():
            self._hold([], chain)
        below = self._holdings.layers.tree(chain[-2]) if len(chain) > 1 else ""
        self._holdings.unpack(layer, diff_ids[-1], chain[-1], below)

    def add_document(self, data: bytes, media_type: str) -> Descriptor:
        """Keep a manifest or a config as a blob."""
        descriptor = Descriptor(media_type, digest_of(data), len(data))
        with self._holdings.layout.locked():
            self._hold([descriptor.digest])
            self._holdings.layout.write_blob(descriptor.digest, data)
        return descriptor

    def layer_directories(self) -> list[str]:
        """Return overlay's `lowerdir`s of the layers so far, the topmost first."""
        blobs = [layer.descriptor for layer in self._layers]
        return self._holdings.layer_directories(blobs, self._diff_ids())

    @property
    def layers(self) -> Sequence[LayerInfo]:
        """The layers so far, the lowest first."""
        return tuple(self._layers)

    # The end

    def commit(
        self, document: ImageConfig, *, names: Sequence[str] = (), parent: str = ""
    ) -> Image:
        """Make the image of these layers visible, with names or without.

        `document` is its config, without the list of layers.  `parent` is the id of the image that
        it was made from here.  Raises `InvalidParameterError` for a bad name.
        """
        document = replace(document, rootfs=RootFs("layers", self._diff_ids()))
        return self.commit_config(msgspec.json.encode(document), names=names, parent=parent)

    def commit_config(self, data: bytes, *, names: Sequence[str] = (), parent: str = "") -> Image:
        """Commit with a config that was made elsewhere and is kept byte for byte.

        It lists the layers that the draft has.
        """
        familiar = [references.parse_tag(name).familiar for name in names]
        config = Descriptor(models.CONFIG, digest_of(data), len(data))
        blobs = [_in_oci_words(layer.descriptor) for layer in self._layers]
        manifest = Manifest(2, config, blobs, media_type=models.MANIFEST)
        entry, manifest_data = encode(manifest, models.MANIFEST)
        with self._holdings.layout.locked():
            self._hold([config.digest, entry.digest])
            self._holdings.layout.write_blob(config.digest, data)
            self._holdings.layout.write_blob(entry.digest, manifest_data)
            return self._enter(entry, familiar, parent)

    def commit_manifest(
        self, descriptor: Descriptor, data: bytes, *, names: Sequence[str] = ()
    ) -> Image:
        """Make an image visible that was made elsewhere: its manifest is kept byte for byte.

        `data` is an OCI or a Docker schema 2 manifest, or an index of such.  Its config and layers
        (for an index: those for this machine) are in the store by now.  `names` may have digests:
        those by which the registry knows it.  NotFoundError if a blob is missing,
        DamagedStoreError or InvalidParameterError if one is not what it should be.
        """
        familiar = [references.parse(name).familiar for name in names]
        if (digest_of(data), len(data)) != (descriptor.digest, descriptor.size):
            raise InvalidParameterError(
                f"the manifest is not the requested one: its digest is "
                f"{digest_of(data)}, not {descriptor.digest}"
            )
        if descriptor.media_type not in models.MANIFESTS | models.INDEXES:
            raise InvalidParameterError(
                f"media type {descriptor.media_type!r} is not known: it is not an image"
            )
        holdings = self._holdings
        self.add_document(data, descriptor.media_type)
        with holdings.layout.locked():
            self._hold(sorted(holdings.documents.blobs([descriptor])))
        manifest, document = holdings.documents.read(descriptor.digest)
        for blob in (manifest.config, *manifest.layers):
            self._check_size(blob)
        with holdings.layout.locked():
            self._hold([], chain_ids(document.rootfs.diff_ids))
        holdings.layer_directories(manifest.layers, document.rootfs.diff_ids)
        with holdings.layout.locked():
            return self._enter(descriptor, familiar, "")

    def _check_size(self, blob: Descriptor) -> None:
        with self._holdings.layout.open_blob(blob.digest) as file:
            found = os.fstat(file.fileno()).st_size
        if found != blob.size:
            raise DamagedStoreError(
                f"blob {blob.digest} has {found} bytes, but its manifest says {blob.size}"
            )

    def _enter(self, entry: Descriptor, names: Sequence[str], parent: str) -> Image:
        """Put the entries into the index, the one step that makes an image; the lock is held."""
        entries = self._holdings.layout.manifests()
        for name in names or [""]:
            entries = enter(entries, entry, name, parent, now())
        self._holdings.layout.write_index(entries)
        group = [found for found in entries if found.digest == entry.digest]
        return self._holdings.image(group)

    # Layers

    def _diff_ids(self) -> list[str]:
        return [layer.diff_id for layer in self._layers]

    def _below(self) -> str:
        """Return the unpacked layer below the next one, "" for the lowest."""
        return self.layer_directories()[0] if self._layers else ""

    def _not_to_pack(self, upper: str) -> list[str]:
        return uppers.to_leave_out(upper, self.layer_directories() if self._layers else [])

    def _take_in(self, packed: PackedLayer, tree: str) -> LayerInfo:
        """Move a packed layer into the store, with its unpacked tree if there is one."""
        note: LayerNote = packed.note
        chain_id = chain_ids([*self._diff_ids(), note.diff_id])[-1]
        with self._holdings.layout.locked():
            self._hold([packed.digest], [chain_id])
            if tree:
                self._holdings.layers.adopt(tree, chain_id, note)
            else:
                self._holdings.layers.write_note(chain_id, note)
            self._holdings.layout.adopt_blob(packed.blob_path, packed.digest)
        descriptor = Descriptor(models.LAYER_GZIP, packed.digest, packed.blob_bytes)
        layer = LayerInfo(descriptor, note.diff_id, note.size_bytes)
        self._layers.append(layer)
        return layer

    def _hold(self, blobs: Iterable[str], chains: Collection[str] = ()) -> None:
        """Record what will be brought in, or must stay; the lock is held."""
        new_blobs = [digest for digest in blobs if digest not in self.claim.blobs]
        new_chains = [chain_id for chain_id in chains if chain_id not in self.claim.chains]
        if new_blobs or new_chains:
            self.claim = Claim([*self.claim.blobs, *new_blobs], [*self.claim.chains, *new_chains])
            self._folder.write_claim(self.claim)


def _in_oci_words(layer: Descriptor) -> Descriptor:
    """Return a layer with the media type that an OCI manifest needs, whatever its source."""
    media_type = models.OCI_LAYERS.get(layer.media_type, layer.media_type)
    return Descriptor(media_type, layer.digest, layer.size)
