"""Container records on disk: `containers/<id>/container.json`, and what lies beside it.

    container.json   what was asked and what is so (labkit.containers.model)
    exit.json        how the last run ended and what its steps took, written by the shim
    steps.json       the steps of the last start, if it failed
    <id>-json.log    what the container printed, in Docker's json-file format
    upper/ work/     the writable layer, and overlayfs's scratch folder (see labkit.snapshots)
    root/            in their stead, a copy of the image's files, where overlayfs does not work
    merged/          where the root file system is mounted, seen only from inside the container
    network.json     what the last run has of the network (labkit.networks.model.Sandbox)
    hostname hosts resolv.conf   bound into the container's /etc

A folder without a container.json is a container whose creation did not finish.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

import msgspec

from labkit.containers.model import Container
from labkit.containers.remover import Remover
from labkit.errors import StartError
from labkit.kernel import files
from labkit.networks import Sandbox
from labkit.paths import Paths
from labkit.runtime.exit_status import ExitStatus
from labkit.snapshots import Snapshotter

LEAVE_TIMEOUT_S = 10.0
_RECORD = "container.json"
_SANDBOX = "network.json"
_ROOT_MOUNT = "merged"


class _ExitFile(msgspec.Struct):
    code: int = msgspec.field(name="ExitCode")
    killed_for_memory: bool = msgspec.field(name="OOMKilled")
    finished_at: str = msgspec.field(name="FinishedAt")
    durations_ns: list[int] = msgspec.field(name="StepsNs")


class Records:
    """The containers' folders.  Every write of a record is durable when it returns."""

    def __init__(self, paths: Paths, remover: Remover, snapshots: Snapshotter) -> None:
        self._paths = paths
        self._snapshots = snapshots
        self._remover = remover
        self._base = f"{paths.root}/containers"
        os.makedirs(self._base, 0o700, exist_ok=True)

    def folder(self, container_id: str) -> str:
        """The container's folder."""
        return self._paths.container_root(container_id)

    def create(self, container: Container, etc_files: dict[str, str]) -> None:
        """Make the folder of a new container; its record is written last."""
        folder = self.folder(container.id)
        os.mkdir(folder, 0o700)
        os.mkdir(f"{folder}/{_ROOT_MOUNT}", 0o755)
        self._snapshots.make_folders(folder)
        self.write_etc(container.id, etc_files)
        self.save(container)
        files.sync_folder(self._base)

    def write_etc(self, container_id: str, etc_files: dict[str, str]) -> None:
        """Write files that are bound into /etc; in place, for a running container has them."""
        for name, text in etc_files.items():
            with open(f"{self.folder(container_id)}/{name}", "w", encoding="utf-8") as file:
                file.write(text)

    def write_sandbox(self, sandbox: Sandbox) -> None:
        """Keep what a run has of the network, before it has it.

        Without fsync: a crash of the machine ends the run, one of the daemon loses no file.
        """
        path = f"{self.folder(sandbox.container_id)}/{_SANDBOX}"
        with open(f"{path}.new", "wb") as file:
            file.write(msgspec.json.encode(sandbox))
        os.rename(f"{path}.new", path)

    def read_sandbox(self, container_id: str) -> Sandbox | None:
        """What the last run had; None if there was none."""
        try:
            with open(f"{self.folder(container_id)}/{_SANDBOX}", "rb") as file:
                return msgspec.json.decode(file.read(), type=Sandbox)
        except (FileNotFoundError, msgspec.DecodeError):  # the machine crashed while it was written
            return None

    def save(self, container: Container) -> None:
        """Write the record."""
        data = msgspec.json.format(msgspec.json.encode(container), indent=2)
        files.write_atomically(f"{self.folder(container.id)}/{_RECORD}", data)

    def load_all(self) -> Iterator[Container]:
        """Every container on disk; what an unfinished creation left is removed."""
        for name in sorted(os.listdir(self._base)):
            try:
                with open(f"{self._base}/{name}/{_RECORD}", "rb") as file:
                    yield msgspec.json.decode(file.read(), type=Container)
            except NotADirectoryError:
                continue  # a file: whoever put it here is not labkit
            except FileNotFoundError:
                self._remover.take(f"{self._base}/{name}")

    def remove(self, container_id: str) -> None:
        """Remove the container's folder: there is none from now on, its files go by and by."""
        self._remover.take(self.folder(container_id))

    @contextlib.contextmanager
    def held(self, container_id: str) -> Iterator[int]:
        """A descriptor that holds the container, to be handed to its shim.

        A lock of the container's folder (flock(2)) that lasts until the last process has closed its
        copy: from before a shim exists until it is gone, whatever kills whom in between.  The shim
        of the run before may still be leaving; StartError if it does not.
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
        """Whether a shim has the container, or one that is asked for will have it."""
        fd = os.open(self.folder(container_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return not _lock(fd)
        finally:
            os.close(fd)

    def exit_path(self, container_id: str) -> str:
        """Where the shim writes the exit status."""
        return f"{self.folder(container_id)}/exit.json"

    def log_path(self, container_id: str) -> str:
        """The container's log."""
        return f"{self.folder(container_id)}/{container_id}-json.log"

    def read_exit(self, container_id: str) -> ExitStatus | None:
        """How the last run ended; None if its shim has written nothing."""
        try:
            with open(self.exit_path(container_id), "rb") as file:
                found = msgspec.json.decode(file.read(), type=_ExitFile)
        except FileNotFoundError:
            return None
        return ExitStatus(*msgspec.structs.astuple(found))

    def forget_exit(self, container_id: str) -> None:
        """Before a new start: the exit status of the run before is no longer true."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.exit_path(container_id))

    def write_exit(self, container_id: str, status: ExitStatus) -> None:
        """Write an exit status in place of a shim that could not."""
        files.write_atomically(self.exit_path(container_id), status.to_bytes())

    def write_steps(self, container_id: str, rows: list[dict[str, object]]) -> None:
        """Keep the steps of a start that failed.  They are for readers only: no fsync."""
        with open(f"{self.folder(container_id)}/steps.json", "wb") as file:
            file.write(msgspec.json.encode(rows))

    def read_steps(self, container_id: str) -> list[dict[str, object]]:
        """The steps of the last start that failed; empty if none did."""
        try:
            with open(f"{self.folder(container_id)}/steps.json", "rb") as file:
                return msgspec.json.decode(file.read(), type=list[dict[str, object]])
        except FileNotFoundError:
            return []


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
