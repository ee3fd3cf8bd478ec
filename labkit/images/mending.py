"""Repair of an unreadable `index.json`, from the manifests among the blobs.

The names of images are lost with it, but containers know their images by id.
"""

import os

from labkit.errors import LabkitError
from labkit.images import models
from labkit.images.documents import Documents
from labkit.images.layout import DamagedStoreError, Layout, decode
from labkit.images.models import Descriptor
from labkit.set_aside import set_aside


def mend_index(root: str, layout: Layout, documents: Documents) -> list[str]:
    """Set an unreadable index aside, and write one without names; return what to report."""
    with layout.locked():
        try:
            layout.manifests()
        except (DamagedStoreError, OSError) as error:
            said = set_aside(root, layout.index_path, error)
            layout.write_index(_found(layout, documents))
            return [f"{said}; the images have lost their names: pull or load them again"]
    return []


def _found(layout: Layout, documents: Documents) -> list[Descriptor]:
    found = []
    for name in sorted(os.listdir(layout.blobs)):
        digest, path = f"sha256:{name}", f"{layout.blobs}/{name}"
        size = os.stat(path).st_size
        try:
            documents.read(digest)  # a blob of any other kind is no manifest
            kind = decode(layout.read_blob(digest), models.Kind, path)
        except LabkitError:
            continue
        found.append(Descriptor(kind.media_type or models.MANIFEST, digest, size))
    return found
