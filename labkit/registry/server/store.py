"""What a registry keeps on disk, for a learner to look into:

    blobs/sha256/<digest>                  every blob once, whatever repositories have it
    repositories/library+busybox/          one OCI image layout for each repository (`repository`)
        oci-layout index.json blobs/sha256/…
        uploads/<id>                       what has arrived of a blob so far (`uploads`)
    lock                                   held exclusively by the garbage collection, else shared

How many repositories have a blob is its number of hard links, less one: nothing else counts them.
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
"""Stands for the slash of a repository's name in its folder's name; no name has one."""


class Store:
    """The registry's folder; made if it is not there."""

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

        Changes are short: nobody waits for a client with this held.
        """
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

    def find(self, name: str) -> Repository | None:
        """The repository of this name; None if there is none."""
        return self._repository(name) if os.path.isdir(self._folder(name)) else None

    def make(self, name: str) -> Repository:
        """The repository of this name, made if need be; call it while changing the store."""
        return self._repository(name)

    def names(self) -> list[str]:
        """The names of all repositories, in order, also of those without any manifest yet."""
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
        """Where the registry's one copy of a blob lies or would lie."""
        return os.path.join(self.blobs, digest.removeprefix("sha256:"))

    def adopt(self, path: str, digest: str, repository: Repository) -> None:
        """Make the finished and synced file at `path` a blob of a repository, under its digest."""
        shared = self.blob_path(digest)
        with contextlib.suppress(FileExistsError):  # another repository has brought it
            os.link(path, shared)
        self._link(shared, repository.blob_path(digest))
        sync_folder(self.blobs)
        os.unlink(path)

    def mount(self, digest: str, source: Repository, target: Repository) -> bool:
        """Give the blob of one repository to another; False if it is not there."""
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
