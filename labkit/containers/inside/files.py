"""The files of containers, seen from outside: `cp`, `export`, `diff`.

A separate process does each of them (`labkit.containers.trees`).  It sees only the container's
files and cannot reach anything else.
"""

import os
import posixpath
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from labkit.containers.given import mounting, security
from labkit.containers.parts import Parts
from labkit.containers.records import id_ranges
from labkit.containers.records.entry import Entry
from labkit.containers.records.model import Container
from labkit.containers.trees import views
from labkit.containers.trees.changes import Change
from labkit.containers.trees.launch import CHUNK_BYTES, Worker, streaming
from labkit.containers.trees.views import Folder, Layers, Running
from labkit.containers.trees.worker import FileStat
from labkit.errors import ConflictError, ForbiddenError, InvalidParameterError, NotFoundError
from labkit.images import Image
from labkit.images.layers import RESERVE_BYTES, limit_bytes
from labkit.kernel import processes

_NO_OWN_ROOT = {"pivot_root", "mount.root"}
"""Steps that leave the container in the host's root if they are left out (`--without`)."""

SETTLE_S = 5.0
"""The longest wait for the record of an end that the kernel already knows."""


class GoneError(NotFoundError):
    """The container itself has been removed."""


class ContainerFiles:
    """Reads and writes files of containers, whether they run or not."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # This folder exists as long as the daemon; each worker mounts on it in its own namespace.
        self._place = f"{parts.paths.run}/containers"

    def stat(self, ref: str, path: str) -> FileStat:
        """Describe the file at a path; NotFoundError."""
        entry, path = self._parts.lookup.find(ref), absolute(path)
        with _naming(ref, path):
            worker, found = self._looking(entry, "stat", (path, base_name(path)))
        with worker:
            return FileStat(*found[0])

    def pack(self, ref: str, path: str) -> tuple[FileStat, Iterator[bytes]]:
        """Describe the file at a path, and pack it in a tar archive, which must be read or closed.

        The archive's names begin with the last part of the path.
        """
        entry, path = self._parts.lookup.find(ref), absolute(path)
        with _naming(ref, path):
            worker, found = self._looking(entry, "pack", (path, base_name(path)))
        self._parts.publish("archive-path", entry)
        return FileStat(*found[0]), streaming(worker)

    def export(self, ref: str) -> Iterator[bytes]:
        """Pack the whole root file system in a tar archive, without the mounts in it."""
        entry = self._parts.lookup.find(ref)
        worker, _ = self._looking(entry, "export", (), only_root=True)
        with worker:
            self._parts.publish("export", entry)
            yield from worker.output()

    def place(
        self,
        ref: str,
        path: str,
        archive: Iterable[bytes],
        *,
        keep_kinds: bool = False,
        as_user: bool = False,
    ) -> None:
        """Unpack a plain tar archive below a folder of the container.

        `keep_kinds`: refuse to replace a folder by a file or a file by a folder.
        `as_user`: the container's user becomes the owner, not the ids in the archive.
        NotFoundError, InvalidParameterError (a bad archive, no folder), ForbiddenError (read-only).
        """
        entry, path = self._parts.lookup.find(ref), absolute(path)
        # As in Docker, the archive's ids are kept for a container without a user.
        user = entry.container.config.user or None if as_user else None
        arguments = (path, keep_kinds, user)
        with _naming(ref, path, is_root_read_only=entry.container.host_config.readonly_rootfs):
            worker = self._writing(entry, "place", arguments)
            if worker is not None:
                with worker:
                    worker.feed(archive)
                self._parts.publish("extract-to-dir", entry)
                return
            # While this writes, the container must not start: two overlays would write to one
            # layer.  So the archive is read completely first, even if its sender is slow.
            with _kept(archive, self._parts.paths.root) as chunks, entry.lock:
                rest = self._to_write(entry)
                _feed(_start("place", arguments, rest, None, takes_input=True), chunks)
        self._parts.publish("extract-to-dir", entry)

    def changes(self, ref: str) -> list[Change]:
        """The paths that the container has added, changed or deleted, with the kind of change."""
        entry = self._parts.lookup.find(ref)
        folder = self._parts.records.folder(entry.container.id)
        view = self._layers(self._layers_of(entry.container))
        copy = self._parts.snapshots.copy_of(folder)
        if copy and not os.path.isdir(copy):
            return []  # the copy is made when the container first starts
        place = copy or f"{folder}/upper"
        try:
            upper = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # it has just been removed
            raise NotFoundError(f"No such container: {ref}") from None
        try:
            with Worker("changes", (bool(copy),), view, [upper]) as worker:
                found: list[Change] = worker.ready()[0]
                return found
        finally:
            os.close(upper)

    def claim_volumes(self, container: Container, image: Image) -> None:
        """Claim the volumes of a new container; new ones get the image's files."""

        def copy_up(path: str, folder: str) -> None:
            self._copy_up(image.layer_directories(), path, folder)

        mounting.claim(self._parts.volumes, container, copy_up)

    def _copy_up(self, layers: list[str], path: str, folder: str) -> None:
        with Worker("pack", (f"{path}/.", "."), self._layers(layers)) as packer:
            try:
                packer.ready()
            except (NotFoundError, InvalidParameterError):
                return  # the image has no such folder
            target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                filler = Worker("fill", (), Folder(), [target], takes_input=True)
            finally:
                os.close(target)
            _feed(filler, packer.output())

    # Views

    def _looking(
        self, entry: Entry, task: str, arguments: tuple[object, ...], *, only_root: bool = False
    ) -> tuple[Worker, list[Any]]:
        """A worker that reads the container's files, and its first answer."""
        while True:
            with entry.lock:
                running = self._running(entry, only_root=only_root, attributes=views.READ_ONLY)
                view, pidfd = running or (self._at_rest(entry, only_root=only_root), None)
            worker = _start(task, arguments, view, pidfd)
            if (found := _answer(worker, entry)) is not None:
                return worker, found

    def _writing(self, entry: Entry, task: str, arguments: tuple[object, ...]) -> Worker | None:
        """A worker that is ready to write to a running container; None if it does not run."""
        while True:
            with entry.lock:
                running = self._running(entry, only_root=False, attributes=views.HARMLESS)
                if running is None:
                    return None
                worker = _start(task, arguments, *running, takes_input=True)
            if _answer(worker, entry) is not None:
                return worker

    def _running(
        self, entry: Entry, *, only_root: bool, attributes: int
    ) -> tuple[Running, int] | None:
        """The view of a running container, and its first process; the caller holds the lock."""
        if not entry.is_running or _NO_OWN_ROOT & set(entry.container.without):
            return None
        pidfd = processes.open_pidfd(entry.container.state.pid, entry.start_time)
        own_users = id_ranges.in_use(entry.container) is not None
        if own_users and only_root and security.may_mount(entry.container.host_config):
            # Mounts on its root are locked there: use the layers instead.
            return None
        return None if pidfd is None else (Running(only_root, attributes, own_users), pidfd)

    def _at_rest(self, entry: Entry, *, only_root: bool) -> Layers:
        container = entry.container
        folder = self._parts.records.folder(container.id)
        shown = self._parts.snapshots.readable(folder, self._layers_of(container))
        view = self._layers(shown)
        return view if only_root else view._replace(mounts=_mounts(container))

    def _to_write(self, entry: Entry) -> Layers:
        """The view for changing a container that does not run; the caller holds the lock."""
        container = entry.container
        if entry.removed or entry.is_running:
            raise ConflictError(
                f"container {container.name} was started or removed before this was done: try again"
            )
        folder = self._parts.records.folder(container.id)
        root = self._parts.snapshots.writable(folder, self._layers_of(container))
        return self._layers(root.layers)._replace(
            upper=root.upper,
            work=root.work,
            mounts=_mounts(container),
            read_only_root=container.host_config.readonly_rootfs,
            attributes=views.HARMLESS,
        )

    def _layers(self, layers: list[str]) -> Layers:
        return Layers(layers, "", "", self._place, [], False, views.READ_ONLY)

    def _layers_of(self, container: Container) -> list[str]:
        return self._parts.images.resolve(container.image_id).layer_directories()


def absolute(path: str) -> str:
    """The normal form of a path; a slash or a dot at its end is kept, for it has a meaning."""
    if not path or "\0" in path:
        raise InvalidParameterError("Bad parameters: path cannot be empty or hold a NUL byte")
    clean = "/" + posixpath.normpath(f"/{path}").lstrip("/")
    if posixpath.basename(path) == ".":
        return f"{clean.rstrip('/')}/."
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def base_name(path: str) -> str:
    """The name in the archive for the file at a path of `absolute`."""
    return posixpath.basename(path.rstrip("/")) or "/"


def _mounts(container: Container) -> list[tuple[str, str, bool]]:
    """The mounts that exist without a running container: a tmpfs would be empty."""
    return [
        (point.source, point.destination, point.read_only)
        for point in container.mount_points
        if point.type in ("bind", "volume")
    ]


def _start(
    task: str,
    arguments: tuple[object, ...],
    view: views.View,
    pidfd: int | None,
    *,
    takes_input: bool = False,
) -> Worker:
    """Start a worker; it gets a copy of `pidfd`, which is closed here."""
    fds = [] if pidfd is None else [pidfd]
    try:
        return Worker(task, arguments, view, fds, takes_input=takes_input)
    finally:
        for fd in fds:
            os.close(fd)


def _answer(worker: Worker, entry: Entry) -> list[Any] | None:
    """A worker's first answer; None if the container has ended before the worker was in it.

    The worker is closed unless it has answered.  NotFoundError if the container was removed.
    """
    try:
        return worker.ready()
    except ProcessLookupError:
        worker.close()
        with entry.changed:
            entry.changed.wait_for(lambda: not entry.is_running, SETTLE_S)
        return None
    except BaseException as error:
        worker.close()
        if isinstance(error, Exception) and entry.removed:
            raise GoneError(f"No such container: {entry.container.id}") from None
        raise


def _feed(worker: Worker, chunks: Iterable[bytes]) -> None:
    with worker:
        worker.ready()
        worker.feed(chunks)


@contextmanager
def _kept(chunks: Iterable[bytes], folder: str) -> Iterator[Iterator[bytes]]:
    """Store the chunks in a file without a name, and give them back from there."""
    left_bytes = limit_bytes(folder)
    with tempfile.TemporaryFile(dir=folder) as file:
        for chunk in chunks:
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise InvalidParameterError(
                    f"the archive does not fit in {folder}: make room there (the last "
                    f"{RESERVE_BYTES >> 20} MiB of the disk are kept free)"
                )
            file.write(chunk)
        file.seek(0)
        yield _pieces(file)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK_BYTES):
        yield piece


@contextmanager
def _naming(ref: str, path: str, *, is_root_read_only: bool = False) -> Iterator[None]:
    """Name the file and the container in errors, in Docker's words."""
    try:
        yield
    except GoneError:
        raise
    except NotFoundError:
        raise NotFoundError(f"Could not find the file {path} in container {ref}") from None
    except ForbiddenError:
        what = "container rootfs" if is_root_read_only else "mounted volume"
        raise ForbiddenError(f"{what} is marked read-only") from None
