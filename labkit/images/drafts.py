"""An image that is being made: layer upon layer, and nothing of it to be seen before the end.

    with store.draft() as draft:
        draft.start_from(store.resolve("busybox"))
        draft.add_tar(archive)
        image = draft.commit(document, names=["tool:1.0"])

What a draft brings into the store it writes down first (`labkit.images.staging.Claim`).  Leaving
the block without a commit takes it out again, and so does the next one to open the store when this
process was killed.  What the claim names stays as long as the draft does, whoever removes images
meanwhile.  A draft is one thread's; several may be made side by side, of the same layers too.
"""

import errno
import os
from collections.abc import Collection, Iterable, Sequence
from typing import BinaryIO, NamedTuple

import msgspec
from msgspec.structs import replace

from labkit.errors import InvalidParameterError
from labkit.images import layers, models, references
from labkit.images import writable_layers as uppers
from labkit.images.chains import chain_ids
from labkit.images.entries import enter
from labkit.images.holdings import Holdings, subfolder
from labkit.images.image import Image
from labkit.images.layers import LayerNote, PackedLayer
from labkit.images.layout import DamagedStoreError, digest_of, encode
from labkit.images.models import Descriptor, ImageConfig, Manifest, RootFs
from labkit.images.staging import Claim, Folder


class LayerInfo(NamedTuple):
    """A layer of a draft."""

    descriptor: Descriptor
    """Its blob: media type, digest, size in bytes."""
    diff_id: str
    """The digest of its plain archive."""
    size_bytes: int
    """The sum of its files' sizes."""


class Draft:
    """See the module; made by `ImageStore.draft()`."""

    def __init__(self, holdings: Holdings, folder: Folder) -> None:
        self._holdings = holdings
        self._folder = folder
        self._layers: list[LayerInfo] = []
        self.claim = Claim([], [])

    # What it is made of

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

        InvalidParameterError when it is damaged or hostile; it is then as if it had not been added.
        """
        folder = subfolder(self._folder)
        packed = layers.receive(stream, folder, self._below(), self._holdings.snapshots)
        return self._take_in(packed, os.path.join(folder.path, layers.TREE))

    def add_upper(self, upper: str) -> LayerInfo:
        """Put on top what overlayfs has gathered in a folder nobody writes to any more.

        The folder is moved into the store when it is on the same file system, and layers are kept
        as overlayfs has them.
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
        """The same with a folder that stays, as that of a container does which is committed.

        The layer is unpacked when it is first needed.
        """
        marked = not self._holdings.snapshots.is_union
        left_out = self._not_to_pack(upper)
        packed = layers.pack(upper, left_out, subfolder(self._folder), marked=marked)
        return self._take_in(packed, "")

    def add_known(self, diff_id: str) -> bool:
        """Put a layer on top that an image of the store has in the same place, if one has."""
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
        """Whether there is anything in a writable layer that a layer would keep."""
        return not uppers.is_empty(upper, self._not_to_pack(upper))

    def has_blob(self, digest: str) -> bool:
        """Whether the store has this blob; from then on it is kept for this draft."""
        with self._holdings.layout.locked():
            if not self._holdings.layout.has_blob(digest):
                return False
            self._hold([digest])
            return True

    def place(self, name: str) -> str:
        """A path for a file on its way to `adopt_blob`; it vanishes with the draft."""
        return os.path.join(self._folder.path, name)

    def adopt_blob(self, path: str, descriptor: Descriptor) -> None:
        """Move a file of the same file system in as a blob; its digest is the caller's to verify.

        For what `commit_manifest` will name.
        """
        with self._holdings.layout.locked():
            self._hold([descriptor.digest])
            self._holdings.layout.adopt_blob(path, descriptor.digest)

    def unpack_layer(self, layer: Descriptor, diff_ids: Sequence[str]) -> None:
        """Unpack a blob of the store, for `commit_manifest` to find.

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
        """Overlay's `lowerdir`s of what is in it so far, the topmost first."""
        blobs = [layer.descriptor for layer in self._layers]
        return self._holdings.layer_directories(blobs, self._diff_ids())

    @property
    def layers(self) -> Sequence[LayerInfo]:
        """What is in it so far, the lowest first."""
        return tuple(self._layers)

    # The end

    def commit(
        self, document: ImageConfig, *, names: Sequence[str] = (), parent: str = ""
    ) -> Image:
        """Make the image of these layers visible, under names or without one.

        `document` is its config, but for the list of layers.  `parent`: the id of the image that
        it was made from here.  Raises `InvalidParameterError` for a bad name.
        """
        document = replace(document, rootfs=RootFs("layers", self._diff_ids()))
        return self.commit_config(msgspec.json.encode(document), names=names, parent=parent)

    def commit_config(self, data: bytes, *, names: Sequence[str] = (), parent: str = "") -> Image:
        """The same with a config that was made elsewhere and is kept byte for byte.

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
        (of an index: those for this machine) are in the store by now.  `names` may have digests:
        those by which the registry knows it.  NotFoundError when a blob is not there,
        DamagedStoreError or InvalidParameterError when one is not what it should be.
        """
        familiar = [references.parse(name).familiar for name in names]
        if (digest_of(data), len(data)) != (descriptor.digest, descriptor.size):
            raise InvalidParameterError(
                f"the manifest is not the one that was asked for: its digest is "
                f"{digest_of(data)}, not {descriptor.digest}"
            )
        if descriptor.media_type not in models.MANIFESTS | models.INDEXES:
            raise InvalidParameterError(
                f"media type {descriptor.media_type!r} is not known: it is no image"
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
        """The one step that makes an image: its entries in the index; the lock is held."""
        entries = self._holdings.layout.manifests()
        for name in names or [""]:
            entries = enter(entries, entry, name, parent)
        self._holdings.layout.write_index(entries)
        group = [found for found in entries if found.digest == entry.digest]
        return self._holdings.image(group)

    # Layers

    def _diff_ids(self) -> list[str]:
        return [layer.diff_id for layer in self._layers]

    def _below(self) -> str:
        """The unpacked layer that the next one lies on, "" for the lowest."""
        return self.layer_directories()[0] if self._layers else ""

    def _not_to_pack(self, upper: str) -> list[str]:
        return uppers.to_leave_out(upper, self.layer_directories() if self._layers else [])

    def _take_in(self, packed: PackedLayer, tree: str) -> LayerInfo:
        """Move a packed layer into the store, and the folder in which it is unpacked, if it is."""
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
        """Write down what is about to be brought in, or shall stay; the lock is held."""
        new_blobs = [digest for digest in blobs if digest not in self.claim.blobs]
        new_chains = [chain_id for chain_id in chains if chain_id not in self.claim.chains]
        if new_blobs or new_chains:
            self.claim = Claim([*self.claim.blobs, *new_blobs], [*self.claim.chains, *new_chains])
            self._folder.write_claim(self.claim)


def _in_oci_words(layer: Descriptor) -> Descriptor:
    """A layer as an OCI manifest names it, wherever it came from."""
    media_type = models.OCI_LAYERS.get(layer.media_type, layer.media_type)
    return Descriptor(media_type, layer.digest, layer.size)
