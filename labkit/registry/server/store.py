"""A registry's files on disk, in a form that a learner can read:

    blobs/sha256/<digest>                  every blob once, whatever repositories have it
    repositories/library+busybox/          one OCI image layout for each repository (`repository`)
        oci-layout index.json blobs/sha256/…
        uploads/<id>                       the part of a blob that has arrived (`uploads`)
    lock                                   held exclusively by the garbage collection, else shared

The number of repositories with a blob is its number of hard links, less one: nothing else counts.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator

from labkit.errors import InvalidParameterError
from labkit.kernel.files import sync_folder
from labkit.registry.server.names import is_name
from labkit.registry.server.repository import Repository

SLASH = "+"
"""Replaces the slash of a repository's name in its folder's name; no name has one."""


class Store:
    """The registry's folder, which is made if it is missing."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.blobs = os.path.join(root, "blobs", "sha256")
        self.repositories = os.path.join(root, "repositories")
        self._lock_path = os.path.join(root, "lock")
        self._open: dict[str, Repository] = {}
        self._opening = threading.Lock()
        try:
            os.makedirs(root, mode=0o700, exist_ok=True)
            os.makedirs(self.blobs, exist_ok=True)
            os.makedirs(self.repositories, exist_ok=True)
        except OSError as error:
            raise InvalidParameterError(
                f"the registry cannot keep its images in {root}: {error.strerror}"
            ) from None

    @contextlib.contextmanager
    def changing(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the registry for a change of names; `alone` keeps all other changes out.

        Changes are short: no code waits for a client while it holds this.
        """
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def find(self, name: str) -> Repository | None:
        """Return the repository of this name, or None."""
        return self._repository(name) if os.path.isdir(self._folder(name)) else None

    def make(self, name: str) -> Repository:
        """Return the repository of this name, made if missing; call it inside `changing`."""
        return self._repository(name)

    def names(self) -> list[str]:
        """Return the names of all repositories, in order, including those without a manifest."""
        names = (entry.replace(SLASH, "/") for entry in os.listdir(self.repositories))
        return sorted(name for name in names if is_name(name))

    def _folder(self, name: str) -> str:
        return os.path.join(self.repositories, name.replace("/", SLASH))

    def _repository(self, name: str) -> Repository:
        with self._opening:
            known = self._open.get(name)
            if known is None or not os.path.isdir(known.uploads):
                known = self._open[name] = Repository(name, self._folder(name))
            return known

    # Blobs

    def blob_path(self, digest: str) -> str:
        """Return the path of the registry's one copy of a blob, whether it exists or not."""
        return os.path.join(self.blobs, digest.removeprefix("sha256:"))

    def adopt(self, path: str, digest: str, repository: Repository) -> None:
        """Make the finished and synced file at `path` a blob of a repository, by its digest."""
        shared = self.blob_path(digest)
        with contextlib.suppress(FileExistsError):  # another repository has it already
            os.link(path, shared)
        self._link(shared, repository.blob_path(digest))
        sync_folder(self.blobs)
        os.unlink(path)

    def mount(self, digest: str, source: Repository, target: Repository) -> bool:
        """Link a blob of one repository into another; False if it is missing."""
        if source.use(digest) is None:
            return False
        try:
            self._link(source.blob_path(digest), target.blob_path(digest))
        except FileNotFoundError:  # it was deleted at this moment
            return False
        return True

    def _link(self, source: str, target: str) -> None:
        try:
            os.link(source, target)
        except FileExistsError:
            os.utime(target)
            return
        sync_folder(os.path.dirname(target))
