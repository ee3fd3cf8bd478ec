"""The image store: names, images, layers, over an OCI layout and a folder of unpacked layers.

An image is there when `index.json` names its manifest.  Everything else (which blobs and layers are
in use, by how many) is found by walking from there, never written down.  All methods may be called
from several threads, and the folders be open in several processes at once.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import changes as instructions
from labkit.images import layers, models, references
from labkit.images import removal as removals
from labkit.images.chains import chain_ids
from labkit.images.documents import Documents
from labkit.images.entries import enter, name_of, without_name
from labkit.images.image import Image
from labkit.images.layers import Layers, PackedLayer
from labkit.images.layout import DamagedStoreError, Layout, encode
from labkit.images.models import Descriptor, History, ImageConfig, Manifest, RootFs, RuntimeConfig
from labkit.images.references import Reference
from labkit.images.staging import Claim, Folder, Staging

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

Entries = list[Descriptor]  # `list` itself is a method within the class
Folders = list[str]
Removals = list[dict[str, str]]


class ImageStore:
    """The images under one data root: `images/` (the OCI layout), `layers/`, `staging/`."""

    def __init__(self, root: str) -> None:
        os.makedirs(root, mode=0o700, exist_ok=True)
        self._layout = Layout(os.path.join(root, "images"))
        self._layers = Layers(os.path.join(root, "layers"))
        self._staging = Staging(os.path.join(root, "staging"), self._layout)
        self._documents = Documents(self._layout)
        self._staging.sweep(self._discard)

    # Looking

    def list(self) -> list[Image]:
        """All images, the newest first; one each, however many names it has.

        One whose documents are missing or damaged is passed over; `resolve` says what is wrong.
        """
        images = [self._image(group) for group in self._groups().values()]
        return sorted(images, key=lambda image: image.created, reverse=True)

    def resolve(self, reference: str) -> Image:
        """The image that a name, an id or the beginning of an id means.

        Raises `NotFoundError` in Docker's words, `InvalidParameterError` for what is no name.
        """
        groups = self._groups()
        if not references.is_whole_id(reference):
            name = references.parse(reference)
            for group in groups.values():
                if any(_bears(entry, name) for entry in group):
                    return self._image(group)
            self._complain_if_damaged(name)
        prefix = references.id_prefix(reference)
        found = [found for found in groups if prefix and found.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise InvalidParameterError(
                f"multiple IDs found with provided prefix: {prefix}; give more of its digits"
            )
        if not found:
            shown = reference if references.is_whole_id(reference) else name.familiar
            raise NotFoundError(f"No such image: {shown}")
        return self._image(groups[found[0]])

    def _groups(self) -> dict[str, Entries]:
        """The readable entries of the index by image id: an image may have several."""
        groups: dict[str, Entries] = {}
        for entry, manifest, _ in self._documents.readable(self._layout.manifests()):
            groups.setdefault(manifest.config.digest, []).append(entry)
        return groups

    def _complain_if_damaged(self, name: Reference) -> None:
        for entry in self._layout.manifests():
            if entry.media_type == models.MANIFEST and _bears(entry, name):
                self._documents.read(entry.digest)

    def _image(self, group: Entries) -> Image:
        digest = group[0].digest
        manifest, document = self._documents.read(digest)
        return Image(
            id=manifest.config.digest,
            digest=digest,
            tags=[name for entry in group if (name := name_of(entry))],
            size_bytes=self._size_bytes(manifest, chain_ids(document.rootfs.diff_ids)),
            document=document,
            manifest=manifest,
            layer_directories=partial(self._layer_directories, manifest, document),
        )

    def _size_bytes(self, manifest: Manifest, chain: Sequence[str]) -> int:
        """As Docker counts; a layer never unpacked here counts with its compressed size."""
        total = 0
        for layer, chain_id in zip(manifest.layers, chain, strict=True):
            note = self._layers.note(chain_id)
            total += note.size_bytes if note else layer.size
        return total

    # Layers for overlayfs

    def _layer_directories(self, manifest: Manifest, document: ImageConfig) -> Folders:
        chain = chain_ids(document.rootfs.diff_ids)
        for height, chain_id in enumerate(chain):
            if not self._layers.has(chain_id):
                self._unpack(
                    manifest.layers[height], chain_id, document.rootfs.diff_ids[height], height == 0
                )
        return [self._layers.tree(chain_id) for chain_id in reversed(chain)]

    def _unpack(self, layer: Descriptor, chain_id: str, diff_id: str, lowest: bool) -> None:
        """Unpack a layer that came in as a blob: another program wrote it, or the tree was lost."""
        path = self._layout.blob_path(layer.digest)
        with self._staging.folder() as folder:
            try:
                with open(path, "rb") as blob:
                    note = layers.unpack(blob, folder, lowest=lowest)
            except FileNotFoundError:
                raise NotFoundError(f"the image store has no blob {layer.digest}: {path}") from None
            if note.diff_id != diff_id:
                raise DamagedStoreError(
                    f"layer {layer.digest} unpacks to {note.diff_id}, but its image says {diff_id}"
                )
            with self._layout.locked():
                self._layers.adopt(os.path.join(folder.path, "tree"), chain_id, note)

    # Making

    def import_tar(
        self,
        stream: BinaryIO,
        reference: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        *,
        created: str = "",
    ) -> Image:
        """Make an image of one layer from a root file system's archive, as `docker import` does.

        The archive may be plain, or compressed by gzip, zstd, bzip2 or xz.  `reference` may be
        empty.  `created` (RFC 3339) is now unless given.  Raises `InvalidParameterError` for a bad
        name, change or archive; nothing is left then.
        """
        name = _taggable(reference) if reference else None
        config = RuntimeConfig()
        instructions.apply(changes, config)
        with self._staging.folder() as folder:
            layer = layers.receive(stream, folder, lowest=True)
            document = _document(layer, config, message or "Imported from -", created or _now())
            with self._layout.locked():
                return self._commit(folder, layer, document, name)

    def _commit(
        self, folder: Folder, layer: PackedLayer, document: ImageConfig, name: Reference | None
    ) -> Image:
        """Make the image visible: first all it consists of, at last its entry in the index."""
        (chain_id,) = chain_ids(document.rootfs.diff_ids)
        packed = Descriptor(models.LAYER_GZIP, layer.digest, layer.blob_bytes)
        config, config_data = encode(document, models.CONFIG)
        manifest = Manifest(2, config, [packed], media_type=models.MANIFEST)
        entry, manifest_data = encode(manifest, models.MANIFEST)
        claim = Claim([packed.digest, config.digest, entry.digest], [chain_id])
        folder.write_claim(claim)
        try:
            self._layers.adopt(os.path.join(folder.path, "tree"), chain_id, layer.note)
            self._layout.adopt_blob(layer.blob_path, layer.digest)
            self._layout.write_blob(config.digest, config_data)
            self._layout.write_blob(entry.digest, manifest_data)
            entries = self._layout.manifests()
            self._layout.write_index(enter(entries, entry, name.familiar if name else ""))
        except OSError:  # the disk is full, say
            self._discard(claim, folder)
            raise
        return self.resolve(config.digest)

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name; an image that had it loses it."""
        name = _taggable(target)
        with self._layout.locked():
            digest = self.resolve(source).digest
            entries = self._layout.manifests()
            entry = next(entry for entry in entries if entry.digest == digest)
            self._layout.write_index(enter(entries, entry, name.familiar))

    # Removing

    def remove(
        self, reference: str, *, force: bool = False, users: Mapping[str, str] | None = None
    ) -> Removals:
        """Take a name away, and with its last name the image, as `docker rmi` does.

        `users` maps ids of images to a container that stands on each: such an image stays.
        Returns what happened, in the API's words (`Untagged`, `Deleted`).  Raises `ConflictError`
        when a container needs it, or an id is given of an image with several names, unless `force`.
        """
        with self._staging.folder() as folder, self._layout.locked():
            image = self.resolve(reference)
            user = (users or {}).get(image.id, "")
            removal = removals.decide(image, reference, user, force=force)
            report = [{"Untagged": name} for name in removal.names]
            if removal.deletes:
                self._delete(image.id, folder)
                return [*report, {"Deleted": image.id}]
            for name in removal.names:
                self._layout.write_index(without_name(self._layout.manifests(), name))
            return report

    def _delete(self, image_id: str, folder: Folder) -> None:
        """Take an image out of the index, then delete the blobs and trees only it had."""
        dropped = self._groups()[image_id]
        claim = Claim(
            sorted(self._documents.blobs(dropped)), sorted(self._documents.chains(dropped))
        )
        folder.write_claim(claim)
        entries = self._layout.manifests()
        self._layout.write_index([entry for entry in entries if entry not in dropped])
        self._discard(claim, folder)

    def _discard(self, claim: Claim, folder: Folder) -> None:
        """Delete what is claimed and not in the index; trees go with the operation's folder."""
        if not claim.blobs:
            return
        entries = self._layout.manifests()
        for chain_id in set(claim.chains) - self._documents.chains(entries):
            self._layers.take_out(chain_id, folder)
        for digest in set(claim.blobs) - self._documents.blobs(entries):
            self._layout.remove_blob(digest)


def _bears(entry: Descriptor, name: Reference) -> bool:
    """Whether an entry is what the name means."""
    return entry.digest == name.digest if name.digest else name_of(entry) == name.familiar


def _taggable(text: str) -> Reference:
    name = references.parse(text)
    if name.digest:
        raise InvalidParameterError("refusing to create a tag with a digest reference")
    return name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _document(layer: PackedLayer, config: RuntimeConfig, message: str, created: str) -> ImageConfig:
    machine = os.uname().machine
    return ImageConfig(
        architecture=ARCHITECTURES.get(machine, machine),
        os="linux",
        rootfs=RootFs("layers", [layer.note.diff_id]),
        created=created,
        config=config,
        history=[History(created=created, comment=message)],
    )
