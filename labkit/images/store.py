"""The image store: names, images, layers, over an OCI layout and a folder of unpacked layers.

An image exists if `index.json` names its manifest.  All other facts (the blobs and layers in use,
and their users) are computed from there, never stored.  Several threads may call all methods, and
several processes may have the folders open at once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import changes as instructions
from labkit.images import models, platforms, references
from labkit.images import removal as removals
from labkit.images.chains import chain_ids
from labkit.images.documents import for_this_machine
from labkit.images.drafts import Draft
from labkit.images.entries import enter, name_of, now, without_name
from labkit.images.holdings import Holdings
from labkit.images.image import Image
from labkit.images.models import Descriptor, History, ImageConfig, RootFs, RuntimeConfig
from labkit.images.references import Reference
from labkit.images.removal import ImageUser
from labkit.images.staging import Claim, Folder

Images = list[Image]  # `list` itself is a method within the class
Sizes = list[int]
Removals = list[dict[str, str]]


class ImageStore:
    """The images under one data root: `images/` (the OCI layout), `layers/`, `staging/`."""

    def __init__(self, root: str) -> None:
        self._holdings = Holdings(root)
        self._layout = self._holdings.layout
        self.warnings = self._holdings.warnings

    # Reading

    def list(self) -> list[Image]:
        """Return all images, the newest first; each once, however many names it has.

        An image with missing or damaged documents is skipped; `resolve` says what is wrong.
        """
        images = [self._holdings.image(group) for group in self._holdings.groups().values()]
        return sorted(images, key=lambda image: image.created, reverse=True)

    def resolve(self, reference: str) -> Image:
        """Return the image that a name, an id or the beginning of an id means.

        Raises `NotFoundError` in Docker's words, `InvalidParameterError` for an invalid name.
        """
        groups = self._holdings.groups()
        if not references.is_whole_id(reference):
            name = references.parse(reference)
            for group in groups.values():
                named = [entry for entry in group if name_of(entry) == name.familiar]
                if named:  # an image, and an index that has it, are two entries of one id
                    others = [entry for entry in group if entry not in named]
                    return self._holdings.image([*named, *others])
            for image in map(self._holdings.image, groups.values() if name.digest else ()):
                if name.familiar in image.repo_digests:
                    return image
            self._complain_if_damaged(name)
        prefix = references.id_prefix(reference)
        found = [found for found in groups if prefix and found.startswith(f"sha256:{prefix}")]
        if len(found) > 1:
            raise InvalidParameterError(
                f"multiple IDs found with provided prefix: {prefix}; give more of its digits"
            )
        if not found:
            is_written_whole = references.is_whole_id(reference) or name.digest
            shown = reference if is_written_whole else name.familiar
            raise NotFoundError(f"No such image: {shown}")
        return self._holdings.image(groups[found[0]])

    def children(self, image_id: str) -> Images:
        """Return the images that were made from this one, by a build or a commit."""
        return [image for image in self.list() if image.parent == image_id]

    def layer_sizes(self, image: Image) -> Sizes:
        """Return the sizes of an image's layers in bytes, the lowest first: sums of file sizes."""
        return self._holdings.layer_sizes(image.manifest, image.document)

    def devices_left_out(self, image: Image) -> int:
        """Return how many device files of an image an engine without root could not make."""
        notes = map(self._holdings.layers.note, chain_ids(image.diff_ids))
        return sum(note.devices_left_out for note in notes if note)

    def shared_sizes(self) -> dict[str, int]:
        """Return for each image, by id, how many bytes of its layers other images share."""
        images = self.list()
        users = Counter(chain_id for image in images for chain_id in chain_ids(image.diff_ids))
        return {
            image.id: sum(
                size
                for chain_id, size in zip(
                    chain_ids(image.diff_ids), self.layer_sizes(image), strict=True
                )
                if users[chain_id] > 1
            )
            for image in images
        }

    def chain_sizes(self) -> dict[str, int]:
        """Return the bytes of all images' layers, each counted once, by its chain id."""
        sizes: dict[str, int] = {}
        for image in self.list():
            sizes |= zip(chain_ids(image.diff_ids), self.layer_sizes(image), strict=True)
        return sizes

    def entry(self, image: Image) -> Descriptor:
        """Return the descriptor of an image's manifest, or of its index."""
        entries = self._layout.manifests()
        return next(entry for entry in entries if entry.digest == image.digest)

    def own_manifest(self, image: Image) -> Descriptor:
        """Return the descriptor of an image's manifest, also if `entry` is an index."""
        entry = self.entry(image)
        if entry.media_type not in models.INDEXES:
            return Descriptor(entry.media_type, entry.digest, entry.size)
        data = self.blob_bytes(entry.digest)
        return for_this_machine(msgspec.json.decode(data, type=models.Index))

    def blobs_of(self, entries: Sequence[Descriptor]) -> set[str]:
        """Return the digests of all blobs that manifests and indexes need, their own included."""
        return self._holdings.documents.blobs(entries)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob as a file with seek(); NotFoundError."""
        return self._layout.open_blob(digest)

    def blob_bytes(self, digest: str) -> bytes:
        """Return a manifest or config, checked by its digest; NotFoundError, DamagedStoreError."""
        return self._layout.read_blob(digest)

    def _complain_if_damaged(self, name: Reference) -> None:
        for entry in self._layout.manifests():
            is_image = entry.media_type in models.MANIFESTS | models.INDEXES
            if is_image and name_of(entry) == name.familiar:
                self._holdings.documents.read(entry.digest)

    # Making

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A new image in progress, for the time of the `with` block."""
        with self._holdings.staging.folder() as folder:
            draft = Draft(self._holdings, folder)
            try:
                yield draft
            finally:
                with self._layout.locked():
                    self._holdings.discard(draft.claim, folder)

    @contextmanager
    def place(self) -> Iterator[str]:
        """A folder for work in progress, on the store's file system; the block's end removes it."""
        with self._holdings.staging.folder() as folder:
            yield folder.path

    def import_tar(
        self,
        stream: BinaryIO,
        reference: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        *,
        created: str = "",
        architecture: str = "",
    ) -> Image:
        """Make an image of one layer from a root file system's archive, as `docker import` does.

        The archive may be plain, or compressed by gzip, zstd, bzip2 or xz.  `reference` may be
        empty.  `created` (RFC 3339) is now by default, `architecture` this machine's.  Raises
        `InvalidParameterError` for a bad name, change or archive; then nothing is left.
        """
        names = [references.parse_tag(reference).familiar] if reference else []
        config = RuntimeConfig()
        instructions.apply(changes, config)
        created = created or now()
        with self.draft() as draft:
            draft.add_tar(stream)
            history = [History(created=created, comment=message or "Imported from -")]
            document = new_document(config, created, history)
            document.architecture = architecture or document.architecture
            return draft.commit(document, names=names)

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name; an image that had the name loses it."""
        with self._layout.locked():
            self.name(self.resolve(source), target)

    def name(self, image: Image, target: str) -> None:
        """As `tag`, for an image that was resolved: of several with one id, for just this one."""
        name = references.parse_tag(target)
        with self._layout.locked():
            entries = self._layout.manifests()
            entry = next((entry for entry in entries if entry.digest == image.digest), None)
            if entry is None:
                raise NotFoundError(f"No such image: {image.id}")
            self._layout.write_index(enter(entries, entry, name.familiar, moment=now()))

    def note_digest(self, image: Image, reference: str) -> None:
        """Record a digest by which a registry knows an image, unless the image was removed."""
        name = references.parse(reference)
        with self._layout.locked():
            entries = self._layout.manifests()
            entry = next((entry for entry in entries if entry.digest == image.digest), None)
            if entry:
                self._layout.write_index(enter(entries, entry, name.familiar))

    # Removing

    def remove(
        self,
        reference: str,
        *,
        force: bool = False,
        prune: bool = True,
        users: Mapping[str, ImageUser] | None = None,
    ) -> Removals:
        """Remove a name, and with its last name the image, as `docker rmi` does.

        `users` are the containers that use images, by image id; such an image stays.  With `prune`,
        nameless images that it was made from are deleted, too.  Returns the changes in the API's
        words (`Untagged`, `Deleted`).  Raises `ConflictError` by Docker's rules (`removal`).
        """
        users = users or {}
        with self._holdings.staging.folder() as folder, self._layout.locked():
            image = self.resolve(reference)
            has_children = bool(self.children(image.id))
            removal = removals.decide(
                image, reference, users.get(image.id), force=force, has_children=has_children
            )
            report = [{"Untagged": name} for name in removal.names]
            if removal.deletes:
                going = [image, *(self._forebears(image, users) if prune else ())]
                return [*report, *self._delete(going, folder)]
            entries = self._layout.manifests()
            for name in removal.names:
                entries = without_name(entries, name)
            self._layout.write_index(entries)
            return report

    def _forebears(self, image: Image, users: Mapping[str, ImageUser]) -> Images:
        """Return the nameless images that it was made from, and that nothing else needs."""
        by_id = {each.id: each for each in self.list()}
        found: Images = []
        while parent := by_id.get(image.parent):
            siblings = [each for each in by_id.values() if each.parent == parent.id]
            if parent.names or parent.id in users or len(siblings) > 1:
                break
            found.append(parent)
            image = parent
        return found

    def _delete(self, images: Images, folder: Folder) -> Removals:
        """Take images out of the index, then delete the blobs and trees that only they used."""
        groups = self._holdings.groups()
        dropped = [entry for image in images for entry in groups[image.id]]
        documents = self._holdings.documents
        claim = Claim(sorted(documents.blobs(dropped)), sorted(documents.chains(dropped)))
        folder.write_claim(claim)
        entries = self._layout.manifests()
        self._layout.write_index([entry for entry in entries if entry not in dropped])
        gone = self._holdings.discard(claim, folder)
        report: Removals = []
        for image in images:
            report.append({"Deleted": image.id})
            for chain_id in reversed(chain_ids(image.diff_ids)):
                if chain_id in gone:
                    gone.remove(chain_id)
                    report.append({"Deleted": chain_id})
        return report


def new_document(config: RuntimeConfig, created: str, history: list[History]) -> ImageConfig:
    """Return the config of an image for this machine; `Draft.commit` sets its layers."""
    return ImageConfig(
        architecture=platforms.own_platform().architecture,
        os="linux",
        rootfs=RootFs("layers", []),
        created=created,
        config=config,
        history=history,
    )
