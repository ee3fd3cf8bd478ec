"""The image store: names, images, layers, over an OCI layout and a folder of unpacked layers.

An image is there when `index.json` names its manifest.  Everything else (which blobs and layers are
in use, by how many) is found by walking from there, never written down.  All methods may be called
from several threads, and the folders be open in several processes at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO

from labkit.errors import InvalidParameterError, NotFoundError
from labkit.images import changes as instructions
from labkit.images import models, references
from labkit.images import removal as removals
from labkit.images.documents import this_architecture
from labkit.images.drafts import Draft
from labkit.images.entries import enter, name_of, without_name
from labkit.images.holdings import Holdings
from labkit.images.image import Image
from labkit.images.models import Descriptor, History, ImageConfig, RootFs, RuntimeConfig
from labkit.images.references import Reference
from labkit.images.staging import Claim, Folder

Images = list[Image]  # `list` itself is a method within the class
Removals = list[dict[str, str]]


class ImageStore:
    """The images under one data root: `images/` (the OCI layout), `layers/`, `staging/`."""

    def __init__(self, root: str) -> None:
        self._holdings = Holdings(root)
        self._layout = self._holdings.layout

    # Looking

    def list(self) -> list[Image]:
        """All images, the newest first; one each, however many names it has.

        One whose documents are missing or damaged is passed over; `resolve` says what is wrong.
        """
        images = [self._holdings.image(group) for group in self._holdings.groups().values()]
        return sorted(images, key=lambda image: image.created, reverse=True)

    def resolve(self, reference: str) -> Image:
        """The image that a name, an id or the beginning of an id means.

        Raises `NotFoundError` in Docker's words, `InvalidParameterError` for what is no name.
        """
        groups = self._holdings.groups()
        if not references.is_whole_id(reference):
            name = references.parse(reference)
            for group in groups.values():
                if any(_bears(entry, name) for entry in group):
                    return self._holdings.image(group)
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
        return self._holdings.image(groups[found[0]])

    def children(self, image_id: str) -> Images:
        """The images that were made from this one, by a build or a commit."""
        return [image for image in self.list() if image.parent == image_id]

    def open_blob(self, digest: str) -> BinaryIO:
        """A blob as a file in which one can seek; NotFoundError."""
        return self._layout.open_blob(digest)

    def blob_bytes(self, digest: str) -> bytes:
        """A manifest or a config, compared with its digest; NotFoundError, DamagedStoreError."""
        return self._layout.read_blob(digest)

    def _complain_if_damaged(self, name: Reference) -> None:
        for entry in self._layout.manifests():
            if entry.media_type in models.MANIFESTS | models.INDEXES and _bears(entry, name):
                self._holdings.documents.read(entry.digest)

    # Making

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A new image in the making, for the time of the `with` block."""
        with self._holdings.staging.folder() as folder:
            draft = Draft(self._holdings, folder)
            try:
                yield draft
            finally:
                with self._layout.locked():
                    self._holdings.discard(draft.claim, folder)

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
        names = [references.parse_tag(reference).familiar] if reference else []
        config = RuntimeConfig()
        instructions.apply(changes, config)
        created = created or _now()
        with self.draft() as draft:
            draft.add_tar(stream)
            history = [History(created=created, comment=message or "Imported from -")]
            return draft.commit(new_document(config, created, history), names=names)

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name; an image that had it loses it."""
        name = references.parse_tag(target)
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
        with self._holdings.staging.folder() as folder, self._layout.locked():
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
        dropped = self._holdings.groups()[image_id]
        claim = Claim(
            sorted(self._holdings.documents.blobs(dropped)),
            sorted(self._holdings.documents.chains(dropped)),
        )
        folder.write_claim(claim)
        entries = self._layout.manifests()
        self._layout.write_index([entry for entry in entries if entry not in dropped])
        self._holdings.discard(claim, folder)


def _bears(entry: Descriptor, name: Reference) -> bool:
    """Whether an entry is what the name means."""
    return entry.digest == name.digest if name.digest else name_of(entry) == name.familiar


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_document(config: RuntimeConfig, created: str, history: list[History]) -> ImageConfig:
    """The config of an image for this machine; its layers are for `Draft.commit` to say."""
    return ImageConfig(
        architecture=this_architecture(),
        os="linux",
        rootfs=RootFs("layers", []),
        created=created,
        config=config,
        history=history,
    )
