"""Garbage collection: marks everything that a manifest needs, and removes the rest.

It runs beside a serving registry.  During the work no request changes names (`store`), which takes
milliseconds, and it spares young files: a client pushes its blobs first and then the manifest that
needs them, and each request for a blob makes it young again.
"""

import fcntl
import os
import shutil
import time
from collections import Counter
from typing import NamedTuple

from labkit.images.models import Descriptor
from labkit.registry.server import manifests
from labkit.registry.server.repository import SUBJECT, Contents, Repository
from labkit.registry.server.store import Store

HEX_DIGITS = 64


class Sweep(NamedTuple):
    """The choice of what to remove."""

    older_than_s: float
    """Younger blobs, uploads and untagged manifests stay."""
    untagged: bool = False
    """Whether to remove manifests without a tag that no tagged one needs."""
    dry_run: bool = False
    """Whether to only report what would be removed."""


class Swept:
    """The result: lines for a reader, and the number of bytes of disk."""

    def __init__(self, *, dry_run: bool) -> None:
        self.lines: list[str] = []
        self.freed_bytes = 0
        self._dry_run = dry_run
        self._spared: Counter[int] = Counter()

    def remove(self, path: str) -> None:
        """Remove one name; its bytes are free if it was the last."""
        found = os.stat(path)
        if self.links(found) == 1:
            self.freed_bytes += found.st_size
        if self._dry_run:
            self._spared[found.st_ino] += 1
        else:
            os.unlink(path)

    def links(self, found: os.stat_result) -> int:
        """Return how many names a file has, or would have."""
        return found.st_nlink - self._spared[found.st_ino]


def collect(store: Store, sweep: Sweep) -> Swept:
    """Sweep all repositories, then the blobs that no repository has any more."""
    swept = Swept(dry_run=sweep.dry_run)
    before = time.time() - sweep.older_than_s
    with store.changing(alone=True):
        for name in store.names():
            repository = store.find(name)
            if repository is not None:
                _sweep_repository(repository, sweep, before, swept)
        for entry in os.listdir(store.blobs):
            path = os.path.join(store.blobs, entry)
            if swept.links(os.stat(path)) == 1:
                swept.remove(path)
    return swept


def _sweep_repository(repository: Repository, sweep: Sweep, before: float, swept: Swept) -> None:
    with repository.changing() as contents:
        kept = _with_tags(repository, contents, before) if sweep.untagged else {*contents.manifests}
        needed = _needed(repository, kept)
        for digest in [one for one in contents.manifests if one not in kept]:
            swept.lines.append(f"manifest {repository.name}@{digest}")
            if not sweep.dry_run:
                del contents.manifests[digest]
    for entry in os.listdir(repository.blobs):
        path = os.path.join(repository.blobs, entry)
        if f"sha256:{entry}" not in needed and os.stat(path).st_mtime <= before:
            if len(entry) == HEX_DIGITS:
                swept.lines.append(f"blob {repository.name}@sha256:{entry}")
            swept.remove(path)
    for entry in os.listdir(repository.uploads):
        path = os.path.join(repository.uploads, entry)
        if os.stat(path).st_mtime <= before and not _is_held(path):
            swept.lines.append(f"upload {repository.name} {entry}")
            swept.remove(path)
    if not (os.listdir(repository.blobs) or os.listdir(repository.uploads) or sweep.dry_run):
        swept.lines.append(f"repository {repository.name}")
        shutil.rmtree(repository.folder)


def _with_tags(repository: Repository, contents: Contents, before: float) -> set[str]:
    """Return the manifests with a tag, those they list, those about them, and young ones."""
    kept = set(contents.tags.values())
    for digest in contents.manifests:
        if os.stat(repository.blob_path(digest)).st_mtime > before:
            kept.add(digest)
    waiting = list(kept)
    while waiting:
        digest = waiting.pop()
        document = manifests.read(repository.read_manifest(digest))
        near = [one.digest for one in document.manifests or []]
        near += [one.digest for one in contents.manifests.values() if _subject(one) == digest]
        found = [one for one in near if one in contents.manifests and one not in kept]
        kept.update(found)
        waiting += found
    return kept


def _needed(repository: Repository, kept: set[str]) -> set[str]:
    """Return the digests of the manifests that stay, and of their blobs."""
    needed = set(kept)
    for digest in kept:
        document = manifests.read(repository.read_manifest(digest))
        needed.update(blob.digest for blob in [*document.blobs, *(document.layers or [])])
    return needed


def _subject(descriptor: Descriptor) -> str:
    return (descriptor.annotations or {}).get(SUBJECT, "")


def _is_held(path: str) -> bool:
    """Whether a request is writing to an upload now."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
