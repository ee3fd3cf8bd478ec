"""Container records on disk: `containers/<id>/container.json`, and the files beside it.

    container.json   the request and the state (labkit.containers.records.model)
    exit.json        the end of the last run and the durations of its steps, written by the shim
    steps.json       the steps of the last start, if it failed
    <id>-json.log    the container's output, in Docker's json-file format
    upper/ work/     the writable layer, and overlayfs's scratch folder (see labkit.snapshots)
    root/            instead of these, a copy of the image's files, if overlayfs does not work
    merged/          the root file system's mount point; only the container sees the mount
    network.json     the addresses and ports of the last run (labkit.networks.model.Sandbox)
    hostname hosts resolv.conf   bound into the container's /etc

A folder with only empty folders and files for /etc belongs to a container whose creation did not
finish.  Until the creation is finished, `volumes.json` names the volumes to be made for it alone.
"""

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator

import msgspec

from labkit.containers.records import states
from labkit.containers.records.model import Container
from labkit.containers.records.remover import HALF_REMOVED, Remover
from labkit.errors import StartError
from labkit.kernel import files
from labkit.log import LABKITD
from labkit.networks import Sandbox
from labkit.paths import Paths
from labkit.runtime.exit_status import ExitStatus
from labkit.set_aside import UNREADABLE, ignored, set_aside
from labkit.snapshots import Snapshotter

LEAVE_TIMEOUT_S = 10.0
_RECORD = "container.json"
_SANDBOX = "network.json"
_VOLUMES = "volumes.json"
_ID = re.compile(r"[0-9a-f]{64}")
_ROOT_MOUNT = "merged"


class _ExitFile(msgspec.Struct):
    code: int = msgspec.field(name="ExitCode")
    killed_for_memory: bool = msgspec.field(name="OOMKilled")
    finished_at: str = msgspec.field(name="FinishedAt")
    durations_ns: list[int] = msgspec.field(name="StepsNs")
    is_lost: bool = msgspec.field(name="ShimKilled", default=False)


class Records:
    """The containers' folders.  Every write of a record is durable when it returns."""

    def __init__(self, paths: Paths, remover: Remover, snapshots: Snapshotter) -> None:
        self._paths = paths
        self._snapshots = snapshots
        self._remover = remover
        self._base = f"{paths.root}/containers"
        self.warnings: list[str] = []
        """A warning for each record that could not be read."""
        os.makedirs(self._base, 0o700, exist_ok=True)

    def folder(self, container_id: str) -> str:
        """The container's folder."""
        return self._paths.container_root(container_id)

    def begin(self, container_id: str, volumes: list[str]) -> None:
        """Make a new container's folder, with the names of the volumes to be made for it alone."""
        folder = self.folder(container_id)
        os.mkdir(folder, 0o700)
        if volumes:
            files.write_atomically(
                f"{folder}/{_VOLUMES}", msgspec.json.encode(volumes), uses_reserve=False
            )
            files.sync_folder(self._base)

    def finish(self, container: Container, etc_files: dict[str, str]) -> None:
        """Fill the folder of a new container; its record is written last."""
        folder = self.folder(container.id)
        os.mkdir(f"{folder}/{_ROOT_MOUNT}", 0o755)
        self._snapshots.make_folders(folder)
        self.write_etc(container.id, etc_files)
        self.save(container, uses_reserve=False)
        files.sync_folder(self._base)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/{_VOLUMES}")

    def write_etc(self, container_id: str, etc_files: dict[str, str]) -> None:
        """Write files that are bound into /etc; in place, since a running container sees them.

        The file is truncated only after the write: on a full disk the old text stays.
        """
        for name, text in etc_files.items():
            path, data = f"{self.folder(container_id)}/{name}", text.encode()
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                if os.pread(fd, len(data) + 1, 0) == data:
                    continue  # unchanged: a reader in the container sees no change of time
                files.write_all(fd, data)
                os.ftruncate(fd, len(data))
            finally:
                os.close(fd)

    def write_sandbox(self, sandbox: Sandbox) -> None:
        """Write a run's addresses and ports, before they are used.

        Without fsync: a crash of the machine ends the run, and a crash of the daemon loses no file.
        """
        path = f"{self.folder(sandbox.container_id)}/{_SANDBOX}"
        with open(f"{path}.new", "wb") as file:
            file.write(msgspec.json.encode(sandbox))
        os.rename(f"{path}.new", path)

    def read_sandbox(self, container_id: str) -> Sandbox | None:
        """The addresses and ports of the last run; None if there was no run."""
        try:
            with open(f"{self.folder(container_id)}/{_SANDBOX}", "rb") as file:
                return msgspec.json.decode(file.read(), type=Sandbox)
        except UNREADABLE:  # the machine crashed while it was written
            return None

    def save(self, container: Container, *, uses_reserve: bool = True) -> None:
        """Write the record."""
        data = msgspec.json.format(msgspec.json.encode(container), indent=2)
        path = f"{self.folder(container.id)}/{_RECORD}"
        files.write_atomically(path, data, uses_reserve=uses_reserve)

    def save_if_possible(self, container: Container) -> None:
        """Write a record after the fact; if the disk is full, only write to the log."""
        try:
            self.save(container)
        except OSError as error:
            LABKITD.line(f"the record of {container.id} was not written: {error}")

    def ids(self) -> list[str]:
        """The ids of all containers with a folder; a folder with another name gives a warning."""
        names = sorted(os.listdir(self._base))
        self.warnings += [ignored(f"{self._base}/{name}") for name in names if not _is_id(name)]
        return [name for name in names if _is_id(name)]

    def load(self, container_id: str) -> Container:
        """A container's record; FileNotFoundError, OSError, msgspec.DecodeError, ValueError."""
        with open(f"{self.folder(container_id)}/{_RECORD}", "rb") as file:
            container = msgspec.json.decode(file.read(), type=Container)
        if container.id != container_id or container.state.status not in states.STATES:
            raise ValueError(f"it is the record of {container.id[:100]}: {container.state.status}")
        return container

    def is_unfinished(self, container_id: str) -> bool:
        """Whether the creation of a container did not finish: its folder has no files of a run."""
        folder = self.folder(container_id)
        for path in (self.log_path(container_id), self.exit_path(container_id)):
            if os.path.lexists(path):
                return False
        with contextlib.suppress(FileNotFoundError):
            return not os.listdir(f"{folder}/upper")
        return True

    def volumes_begun(self, container_id: str) -> list[str]:
        """The volumes that an unfinished creation has made, or was going to make."""
        try:
            with open(f"{self.folder(container_id)}/{_VOLUMES}", "rb") as file:
                return msgspec.json.decode(file.read(), type=list[str])
        except UNREADABLE:
            return []

    def set_aside(self, path: str, why: object) -> None:
        """Move a file or folder away that cannot be read."""
        self.warnings.append(set_aside(self._paths.root, path, why))

    def move_away(self, container_id: str, *, volumes: bool = False) -> str:
        """Move the container's folder out of the way: the container does not exist any more.

        The path is for `delete`.  `volumes`: if the daemon is killed before that, the next one
        removes the anonymous volumes first (`half_removed`).
        """
        return self._remover.move(self.folder(container_id), HALF_REMOVED if volumes else "")

    def delete(self, moved: str) -> None:
        """Delete the files of a folder that was moved away, in the background."""
        self._remover.delete(moved)

    def half_removed(self) -> Iterator[tuple[str, Container | None]]:
        """The folders that a killed daemon had moved away and not deleted."""
        for moved in self._remover.held_back:
            try:
                with open(f"{moved}/{_RECORD}", "rb") as file:
                    yield moved, msgspec.json.decode(file.read(), type=Container)
            except UNREADABLE:
                yield moved, None

    @contextlib.contextmanager
    def held(self, container_id: str) -> Iterator[int]:
        """A descriptor that locks the container, for its shim.

        It is a lock on the container's folder (flock(2)), which lasts until every process with a
        copy of the descriptor has ended: from before the shim exists until it has ended, even after
        kills.  The shim of the last run may still be ending; StartError if it does not end.
        """
        fd = os.open(self.folder(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + LEAVE_TIMEOUT_S
            while not _lock(fd):
                if time.monotonic() > deadline:
                    raise StartError("the shim of the container's last run has not ended")
                time.sleep(0.001)
            yield fd
        finally:
            os.close(fd)

    def is_held(self, container_id: str) -> bool:
        """Whether a shim runs for the container, or is being started."""
        fd = os.open(self.folder(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return not _lock(fd)
        finally:
            os.close(fd)

    def exit_path(self, container_id: str) -> str:
        """The path of the exit status, which the shim writes."""
        return f"{self.folder(container_id)}/exit.json"

    def log_path(self, container_id: str) -> str:
        """The path of the container's log."""
        return f"{self.folder(container_id)}/{container_id}-json.log"

    def read_exit(self, container_id: str) -> ExitStatus | None:
        """The exit status of the last run; None if its shim has not written one."""
        try:
            with open(self.exit_path(container_id), "rb") as file:
                found = msgspec.json.decode(file.read(), type=_ExitFile)
        except FileNotFoundError:
            return None
        except UNREADABLE as error:
            self.set_aside(self.exit_path(container_id), error)
            return None
        return ExitStatus(*msgspec.structs.astuple(found))

    def forget_exit(self, container_id: str) -> None:
        """Delete the exit status of the last run, before a new start."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.exit_path(container_id))

    def write_exit(self, container_id: str, status: ExitStatus) -> None:
        """Write the exit status for a shim that could not; on a full disk, write nothing."""
        with contextlib.suppress(OSError):
            files.write_atomically(self.exit_path(container_id), status.to_bytes())

    def write_steps(self, container_id: str, rows: list[dict[str, object]]) -> None:
        """Write the steps of a start that failed.  Only people read them: no fsync."""
        with open(f"{self.folder(container_id)}/steps.json", "wb") as file:
            file.write(msgspec.json.encode(rows))

    def read_steps(self, container_id: str) -> list[dict[str, object]]:
        """The steps of the last start that failed; empty if none did."""
        try:
            with open(f"{self.folder(container_id)}/steps.json", "rb") as file:
                return msgspec.json.decode(file.read(), type=list[dict[str, object]])
        except UNREADABLE:
            return []


def _is_id(name: str) -> bool:
    return _ID.fullmatch(name) is not None


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
