"""Volumes: folders that outlive containers, `volumes/<name>/_data` with a record beside it.

A container that will mount a volume *claims* it, and a claimed volume cannot be removed.  Claims
are kept in memory and derived from the containers' records when the daemon starts.  A new volume
is made under a temporary name and then renamed; a volume is renamed before it is deleted.
"""

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable

import msgspec

from labkit.containers.given import volume_mounts
from labkit.containers.given.mounts import check_driver, check_name
from labkit.containers.records.remover import Remover
from labkit.dialect.moments import timestamp
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError
from labkit.kernel import files, trails
from labkit.set_aside import UNREADABLE, ignored, set_aside

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
"""Marks a volume whose name labkit chose; `volume prune` removes such volumes by default."""

Fill = Callable[[str], None]
"""Writes a new volume's first content into the folder that it gets."""

OnChange = Callable[[str, str], None]
"""Called with an event (`create`, `destroy`) and the volume's name."""

_DATA = "_data"
_RECORD = "volume.json"
_UNFINISHED = ".new-"


def volume_name() -> str:
    """A random name for an anonymous volume."""
    return secrets.token_hex(32)


class VolumeRecord(msgspec.Struct, rename="pascal"):
    """The record of a volume, as it is written to `volume.json`."""

    name: str
    created_at: str
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    options: dict[str, str] = msgspec.field(default_factory=dict)
    """How to mount over the folder while it is used (labkit.containers.given.volume_mounts)."""


class Volume:
    """A volume and its users.  Its lock is held while it is filled and while it is removed."""

    def __init__(self, record: VolumeRecord, folder: str) -> None:
        self.record = record
        self.folder = folder
        self.lock = threading.Lock()
        self.users: set[str] = set()
        """The ids of the containers that have claimed it."""
        self.removed = False
        self.is_mounted = False
        """Whether the file system of its options is mounted."""

    @property
    def name(self) -> str:
        """The volume's name."""
        return self.record.name

    @property
    def data(self) -> str:
        """The folder that containers see."""
        return f"{self.folder}/{_DATA}"

    @property
    def is_anonymous(self) -> bool:
        """Whether labkit chose its name."""
        return ANONYMOUS_LABEL in self.record.labels


class Volumes:
    """Every volume under one data root.  Thread-safe."""

    def __init__(
        self, root: str, remover: Remover, on_change: OnChange = lambda action, name: None
    ) -> None:
        self._remover = remover
        self._on_change = on_change
        self._base = f"{root}/volumes"
        self._lock = threading.Lock()
        self._volumes: dict[str, Volume] = {}
        self._root = root
        self.warnings: list[str] = []
        """A warning for each volume that could not be read."""
        os.makedirs(self._base, 0o700, exist_ok=True)
        for name in sorted(os.listdir(self._base)):
            self._load(name)
        if any(volume.record.options for volume in self._volumes.values()):
            mounted = volume_mounts.mounted_below(self._base)
            for volume in self._volumes.values():
                volume.is_mounted = os.path.realpath(volume.data) in mounted

    def _load(self, name: str) -> None:
        folder = f"{self._base}/{name}"
        if name.startswith(_UNFINISHED):
            self._remover.take(folder)
            return
        try:
            check_name(name)
        except InvalidParameterError:
            self.warnings.append(ignored(folder))  # such as lost+found
            return
        try:
            with open(f"{folder}/{_RECORD}", "rb") as file:
                record = msgspec.json.decode(file.read(), type=VolumeRecord)
        except UNREADABLE as error:
            self.warnings.append(set_aside(self._root, folder, error))
            return
        record.name = name  # a copied folder is another volume, with the copy's name
        self._volumes[name] = Volume(record, folder)

    def list(self) -> "list[Volume]":
        """Every volume, by name."""
        with self._lock:
            return sorted(self._volumes.values(), key=lambda volume: volume.name)

    def find(self, name: str) -> Volume:
        """The volume called `name`; NotFoundError."""
        with self._lock:
            volume = self._volumes.get(name)
        if volume is None:
            raise NotFoundError(f"get {name}: no such volume")
        return volume

    def has(self, name: str) -> bool:
        """Whether there is a volume of this name."""
        with self._lock:
            return name in self._volumes

    def create(
        self,
        name: str = "",
        labels: dict[str, str] | None = None,
        *,
        driver: str = "",
        options: dict[str, str] | None = None,
    ) -> Volume:
        """Make a volume; if there is one with this name already, return that, as Docker does.

        Without a name it gets one of 64 digits.  NotFoundError for a driver that labkit
        does not have, InvalidParameterError for a bad name or option.
        """
        try:
            check_driver(driver, options)
        except (InvalidParameterError, NotFoundError) as error:
            raise type(error)(f"create {name}: {error}") from None
        labels = dict(labels or {})
        if name:
            check_name(name)
        else:
            name = volume_name()
            labels[ANONYMOUS_LABEL] = ""
        with self._lock:
            return self._volumes.get(name) or self._make(name, labels, options or {})

    def _make(self, name: str, labels: dict[str, str], options: dict[str, str]) -> Volume:
        record = VolumeRecord(name, timestamp(time.time_ns()), labels, options)
        unfinished, folder = (
            f"{self._base}/{_UNFINISHED}{secrets.token_hex(8)}",
            f"{self._base}/{name}",
        )
        os.mkdir(unfinished, 0o700)
        try:
            os.mkdir(f"{unfinished}/{_DATA}")
            os.chmod(f"{unfinished}/{_DATA}", 0o755)  # mkdir's mode depends on the umask
            files.write_atomically(
                f"{unfinished}/{_RECORD}", msgspec.json.encode(record), uses_reserve=False
            )
            os.rename(unfinished, folder)
        except OSError:
            self._remover.take(unfinished)
            raise
        files.sync_folder(self._base)
        self._volumes[name] = volume = Volume(record, folder)
        self._on_change("create", name)
        return volume

    def claim(
        self,
        name: str,
        container_id: str,
        labels: dict[str, str] | None = None,
        fill: Fill | None = None,
        options: dict[str, str] | None = None,
    ) -> Volume:
        """Claim a volume for a container, and make it if there is none with this name.

        A volume that is empty and that no other container has claimed is new: `fill` writes its
        content into a folder, and all of that becomes the volume's content, or nothing.
        """
        while True:
            volume = self.create(name, labels, options=options)
            with volume.lock:
                if volume.removed:
                    continue
                is_first = not volume.users
                if fill and is_first and not (volume.record.options or os.listdir(volume.data)):
                    _fill(volume, fill)
                volume.users.add(container_id)
                return volume

    def mount(self, name: str) -> None:
        """Before a start: mount the file system of a volume's options, if any.  StartError."""
        volume = self._volumes.get(name)
        if volume is None or not volume.record.options:
            return
        with volume.lock:
            if not volume.is_mounted:
                volume_mounts.mount(volume.data, volume.record.options)
                volume.is_mounted = True

    def unmount(self, name: str, is_in_use: Callable[[str], bool]) -> None:
        """Unmount a volume with options when no running container uses it any more."""
        volume = self._volumes.get(name)
        if volume is None or not volume.is_mounted:
            return
        with volume.lock:
            if not is_in_use(name):
                volume_mounts.unmount(volume.data)
                volume.is_mounted = False

    def take_note(self, names: Iterable[str], container_id: str) -> None:
        """Record the volumes of a container that a new daemon has found, except missing volumes."""
        for name in names:
            volume = self._volumes.get(name)
            if volume is not None:
                volume.users.add(container_id)

    def release(self, names: Iterable[str], container_id: str) -> None:
        """Record that the container does not use these volumes any more."""
        for name in names:
            with self._lock:
                volume = self._volumes.get(name)
            if volume is not None:
                with volume.lock:
                    volume.users.discard(container_id)

    def remove(self, name: str) -> None:
        """Delete a volume and its content; ConflictError if a container uses it."""
        volume = self.find(name)
        with volume.lock:
            if volume.removed:
                raise NotFoundError(f"get {name}: no such volume")
            if volume.users:
                users = ", ".join(sorted(volume.users))
                raise ConflictError(f"remove {name}: volume is in use - [{users}]")
            volume.removed = True
            if volume.is_mounted:
                volume_mounts.unmount(volume.data)
            with self._lock:
                with contextlib.suppress(FileNotFoundError):  # its folder was deleted by hand
                    self._remover.take(volume.folder)
                del self._volumes[name]
        files.sync_folder(self._base)
        self._on_change("destroy", name)


def _fill(volume: Volume, fill: Fill) -> None:
    new = f"{volume.folder}/.new"
    trails.remove_tree(new)
    os.mkdir(new)
    os.chmod(new, 0o755)  # mkdir's mode depends on the umask
    fill(new)
    os.rename(new, volume.data)
    files.sync_folder(volume.folder)
