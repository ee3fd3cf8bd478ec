"""The folders of a build: some are gone when it ends, the caches of `RUN --mount` stay.

    build/rooms/<one a build>/…   writable layers, what is mounted in RUN
    build/cache/<id>/                   `RUN --mount=type=cache`, kept from build to build

A daemon that is killed leaves its builds' folders and their containers; the next one sweeps them
away before it serves anyone.
"""

import contextlib
import hashlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from labkit.build import secrets
from labkit.containers import Engine
from labkit.errors import LabkitError
from labkit.kernel.trails import remove_tree
from labkit.paths import Paths
from labkit.snapshots import Snapshotter
from labkit.snapshots.comparing import size_bytes

CONTAINER_LABEL = "io.labkit.build"
"""Marks the containers of RUN, so that one that a killed daemon has left can be found."""


class LayerRoom(NamedTuple):
    """Folders for one layer: its snapshot's (labkit.snapshots), and one to mount it on."""

    folder: str
    place: str


class Workroom:
    """One build's folder; closed with it."""

    def __init__(self, paths: Paths, snapshots: Snapshotter) -> None:
        self._snapshots = snapshots
        base = f"{paths.root}/build/rooms"
        os.makedirs(base, 0o700, exist_ok=True)
        self.path = tempfile.mkdtemp(dir=base)

    @property
    def nothing(self) -> str:
        """An empty folder, for a layer with nothing below it."""
        path = f"{self.path}/nothing"
        os.makedirs(path, 0o755, exist_ok=True)
        return path

    @contextlib.contextmanager
    def layer(self) -> Iterator[LayerRoom]:
        """Give folders for one layer; files that were not moved away are removed at the end."""
        with self.folder() as folder:
            place = f"{folder}/place"
            os.mkdir(place, 0o755)
            self._snapshots.make_folders(folder)
            yield LayerRoom(folder, place)

    @contextlib.contextmanager
    def folder(self) -> Iterator[str]:
        """A folder for a while."""
        folder = tempfile.mkdtemp(dir=self.path)
        try:
            yield folder
        finally:
            remove_tree(folder)

    def close(self) -> None:
        """Remove it."""
        try:
            os.rmdir(self.path)  # the room of a build that was cached whole
        except OSError:
            remove_tree(self.path)


class KeptCache(NamedTuple):
    """A folder of `RUN --mount=type=cache`; `changed_s`: when something at its top last did."""

    name: str
    size_bytes: int
    changed_s: float
    is_in_use: bool


class CacheMounts:
    """The folders of `RUN --mount=type=cache`, by id, and which of them are in use."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._users: dict[str, int] = {}

    @contextlib.contextmanager
    def folder(self, paths: Paths, name: str, sharing: str, spare: str) -> Iterator[str]:
        """The cache's folder; with `locked` alone, with `private` the folder `spare` if it is used.

        If it is missing it is made, with its owner.
        """
        path = f"{_base(paths)}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        with self._lock:
            if sharing == "private" and self._users.get(path):
                path = spare
            if sharing == "locked":
                self._lock.wait_for(lambda: not self._users.get(path))
            self._users[path] = self._users.get(path, 0) + 1
        try:
            yield path
        finally:
            with self._lock:
                self._users[path] -= 1
                self._lock.notify_all()

    def all(self, paths: Paths) -> list[KeptCache]:
        """Every cache there is."""
        found = []
        for name in sorted(os.listdir(_base(paths))):
            path = f"{_base(paths)}/{name}"
            with contextlib.suppress(FileNotFoundError):  # it has just been removed
                used_s = os.stat(path).st_mtime
                found.append(KeptCache(name, size_bytes(path), used_s, bool(self._users.get(path))))
        return found

    def prune(
        self, paths: Paths, is_chosen: Callable[[KeptCache], bool] = lambda _: True
    ) -> list[KeptCache]:
        """Remove the chosen caches that no build uses, and return them."""
        with self._lock:
            idle = [cache for cache in self.all(paths) if not cache.is_in_use]
            removed = [cache for cache in idle if is_chosen(cache)]
            for cache in removed:
                remove_tree(f"{_base(paths)}/{cache.name}")
        return removed


CACHE_MOUNTS = CacheMounts()


def _base(paths: Paths) -> str:
    base = f"{paths.root}/build/cache"
    os.makedirs(base, 0o700, exist_ok=True)
    return base


def sweep(engine: Engine) -> None:
    """Remove what the builds of a daemon that was killed have left; before any build begins."""
    for container in engine.list():
        if CONTAINER_LABEL in (container.config.labels or {}):
            with contextlib.suppress(LabkitError):  # it has been removed by itself
                engine.remove(container.id, force=True, volumes=True)
    secrets.sweep(engine)
    base = f"{engine.paths.root}/build/rooms"
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(base):
            try:
                remove_tree(f"{base}/{name}")
            except subprocess.CalledProcessError as error:  # it stays for the next daemon
                engine.warnings.append(f"{base}/{name} could not be removed: {error}")
