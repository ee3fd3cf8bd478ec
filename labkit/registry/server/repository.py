"""One repository on disk: an OCI image layout that other programs can read in place.

`skopeo inspect oci:ROOT/repositories/library+busybox:latest` works, because a tag is the annotation
`org.opencontainers.image.ref.name` of a manifest in `index.json`, and each manifest and blob is the
file `blobs/sha256/<digest>`.  A blob is a hard link to the registry's one copy (`store`), so
mounting it in another repository, or removing it from one, only changes names.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from labkit.images.layout import Layout
from labkit.images.models import REF_NAME, Descriptor

SUBJECT = "labkit.registry.subject"
"""The annotation in `index.json` with the manifest that a manifest is about (its `subject`)."""
FRESH_S = 60.0
"""A blob that was used less than so long ago need not be marked as used again."""


class Contents(NamedTuple):
    """The content of `index.json`: manifests by digest, and the digest of each tag.

    The descriptors lack the tag's annotation.
    """

    manifests: dict[str, Descriptor]
    tags: dict[str, str]

    def tags_of(self, digest: str) -> list[str]:
        """Return every tag of a manifest."""
        return [tag for tag, tagged in self.tags.items() if tagged == digest]


class Repository:
    """The repository in `folder`, which is made if it is missing."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.folder = folder
        self.uploads = os.path.join(folder, "uploads")
        self._layout = Layout(folder)
        self.blobs = self._layout.blobs
        self._known: tuple[list[Descriptor], Contents] = ([], Contents({}, {}))
        os.makedirs(self.uploads, mode=0o700, exist_ok=True)

    def contents(self) -> Contents:
        """Return its present content; do not change it."""
        descriptors = self._layout.manifests()
        known, contents = self._known
        if known is not descriptors:  # the layout returns the same list until the file is replaced
            contents = _contents(descriptors)
            self._known = (descriptors, contents)
        return contents

    @contextlib.contextmanager
    def changing(self) -> Iterator[Contents]:
        """The contents to change; they are written when the block ends without an error."""
        with self._layout.locked():
            before = self._layout.manifests()
            contents = _contents(before)
            yield contents
            after = _descriptors(contents)
            if after != before:
                self._layout.write_index(after)

    # Blobs

    def blob_path(self, digest: str) -> str:
        """Return the path of the blob of this digest, whether it exists or not."""
        return self._layout.blob_path(digest)

    def blob_size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes; None if it is not here."""
        try:
            return os.stat(self.blob_path(digest)).st_size
        except FileNotFoundError:
            return None

    def use(self, digest: str) -> int | None:
        """As `blob_size`, and mark the blob as used now, so that garbage collection spares it."""
        path = self.blob_path(digest)
        try:
            found = os.stat(path)
            if time.time() - found.st_mtime > FRESH_S:
                os.utime(path)
        except FileNotFoundError:
            return None
        return found.st_size

    def read_manifest(self, digest: str) -> bytes:
        """Return the bytes of a manifest in the contents, checked by its digest."""
        return self._layout.read_blob(digest)

    def write_manifest(self, digest: str, data: bytes) -> None:
        """Write a manifest's bytes; call it while changing the contents."""
        self._layout.write_blob(digest, data)
        os.utime(self.blob_path(digest))


def _contents(descriptors: list[Descriptor]) -> Contents:
    manifests: dict[str, Descriptor] = {}
    tags: dict[str, str] = {}
    for descriptor in descriptors:
        annotations = dict(descriptor.annotations or {})
        tag = annotations.pop(REF_NAME, "")
        manifests[descriptor.digest] = msgspec.structs.replace(
            descriptor, annotations=annotations or None
        )
        if tag:
            tags[tag] = descriptor.digest
    return Contents(manifests, tags)


def _descriptors(contents: Contents) -> list[Descriptor]:
    """Return the list for `index.json`: an entry for each tag, one for a manifest without any."""
    tagged = set(contents.tags.values())
    entries = [_tagged(contents.manifests[digest], tag) for tag, digest in contents.tags.items()]
    return entries + [one for digest, one in contents.manifests.items() if digest not in tagged]


def _tagged(descriptor: Descriptor, tag: str) -> Descriptor:
    return msgspec.structs.replace(
        descriptor, annotations={**(descriptor.annotations or {}), REF_NAME: tag}
    )
