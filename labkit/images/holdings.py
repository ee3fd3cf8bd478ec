"""The content of a store: blobs, unpacked layers, work in progress; and how all is removed.

`labkit.images.store` reads it and gives names, `labkit.images.drafts` adds to it.
"""

import os
import tempfile
from collections.abc import Sequence
from functools import partial

from labkit import snapshots
from labkit.images import layers
from labkit.images.chains import chain_ids
from labkit.images.documents import Documents
from labkit.images.entries import name_of, parent_of, tagged_of
from labkit.images.image import Image
from labkit.images.layers import Layers
from labkit.images.layout import DamagedStoreError, Layout
from labkit.images.mending import mend_index
from labkit.images.models import Descriptor, ImageConfig, Manifest
from labkit.images.staging import Claim, Folder, Staging
from labkit.kernel.files import remove_unfinished

NO_LAYERS = "empty"
"""Overlayfs requires a lower folder, even for an image without layers."""


class Holdings:
    """The folders under one data root: `images/` (the OCI layout), `layers/`, `staging/`."""

    def __init__(self, root: str) -> None:
        os.makedirs(root, mode=0o700, exist_ok=True)
        self.layout = Layout(os.path.join(root, "images"))
        self.snapshots = snapshots.of(root)
        self.layers = Layers(os.path.join(root, "layers"), self.snapshots)
        self.staging = Staging(os.path.join(root, "staging"), self.layout)
        self.documents = Documents(self.layout)
        self.warnings = mend_index(root, self.layout, self.documents)
        """Messages about files that could not be read."""
        self._clean_up()

    def _clean_up(self) -> None:
        """Remove what killed operations have left."""
        with self.layout.locked():  # so no process writes a note
            remove_unfinished(self.layers.path)
        self.staging.sweep(self.discard)

    def groups(self) -> dict[str, list[Descriptor]]:
        """Return the readable entries of the index by image id: an image may have several."""
        groups: dict[str, list[Descriptor]] = {}
        for entry, manifest, _ in self.documents.readable(self.layout.manifests()):
            groups.setdefault(manifest.config.digest, []).append(entry)
        return groups

    def image(self, group: Sequence[Descriptor]) -> Image:
        """Return the image of a group of entries."""
        digest = group[0].digest
        manifest, document = self.documents.read(digest)
        return Image(
            id=manifest.config.digest,
            digest=digest,
            names=sorted(name for entry in group if (name := name_of(entry))),
            size_bytes=sum(self.layer_sizes(manifest, document)),
            document=document,
            manifest=manifest,
            layer_directories=partial(
                self.layer_directories, manifest.layers, document.rootfs.diff_ids
            ),
            parent=next((parent for entry in group if (parent := parent_of(entry))), ""),
            tagged=max(map(tagged_of, group)),
        )

    def layer_sizes(self, manifest: Manifest, document: ImageConfig) -> list[int]:
        """Return layer sizes as Docker counts; a layer never unpacked has its compressed size."""
        notes = map(self.layers.note, chain_ids(document.rootfs.diff_ids))
        return [
            note.size_bytes if note else layer.size
            for layer, note in zip(manifest.layers, notes, strict=True)
        ]

    # Layers for overlayfs

    def layer_directories(self, blobs: Sequence[Descriptor], diff_ids: Sequence[str]) -> list[str]:
        """Return the folders with an image's files, the topmost first.

        Layers that are not unpacked yet are unpacked.
        """
        chain, below = chain_ids(diff_ids), ""
        for layer, diff_id, chain_id in zip(blobs, diff_ids, chain, strict=True):
            self.unpack(layer, diff_id, chain_id, below)
            below = self.layers.tree(chain_id)
        return self._trees(chain)

    def _trees(self, chain: Sequence[str]) -> list[str]:
        """Return the folders of layers with these chain ids, the topmost first."""
        if not chain:
            empty = os.path.join(self.layers.path, NO_LAYERS)
            os.makedirs(empty, 0o755, exist_ok=True)
            return [empty]
        return self.snapshots.lower([self.layers.tree(chain_id) for chain_id in reversed(chain)])

    def unpack(self, layer: Descriptor, diff_id: str, chain_id: str, below: str) -> None:
        """Unpack a layer that arrived as a blob, unless it is unpacked.

        Another program wrote it, or the tree was lost.
        """
        if self.layers.has(chain_id):
            return
        with self.staging.folder() as folder:
            with self.layout.open_blob(layer.digest) as blob:
                note = layers.unpack(blob, folder, below, self.snapshots)
            if note.diff_id != diff_id:
                raise DamagedStoreError(
                    f"layer {layer.digest} unpacks to {note.diff_id}, but its image says {diff_id}"
                )
            claim = Claim([], [chain_id])
            with self.layout.locked():
                folder.write_claim(claim)
                self.layers.adopt(os.path.join(folder.path, layers.TREE), chain_id, note)
                self.discard(claim, folder)  # its image may have been removed by now

    def layer_of(self, chain_id: str) -> Descriptor | None:
        """Return the blob of a layer as an image of the store names it, or None."""
        for _, manifest, document in self.documents.readable(self.layout.manifests()):
            chain = chain_ids(document.rootfs.diff_ids)
            if chain_id in chain:
                return manifest.layers[chain.index(chain_id)]
        return None

    # Removing

    def discard(self, claim: Claim, folder: Folder) -> set[str]:
        """Delete what is claimed, and neither in the index nor claimed by work in progress.

        The caller holds the lock.  Trees are removed with the operation's folder; their chain ids
        are returned.
        """
        if not claim.blobs and not claim.chains:
            return set()
        entries, others = self.layout.manifests(), self.staging.claims_but(folder)
        chains, blobs = self.documents.chains(entries), self.documents.blobs(entries)
        for other in others:
            chains.update(other.chains)
            blobs.update(other.blobs)
        gone = set(claim.chains) - chains
        for chain_id in gone:
            self.layers.take_out(chain_id, folder)
        for digest in set(claim.blobs) - blobs:
            self.layout.remove_blob(digest)
        return gone


def subfolder(folder: Folder) -> Folder:
    """Make a folder for one layer within an operation's folder."""
    return Folder(tempfile.mkdtemp(dir=folder.path), folder.lock_fd)
