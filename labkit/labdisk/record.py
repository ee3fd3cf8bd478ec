"""What is known of the lab disk, kept in labkit's data root so that any interruption is mended."""

import json
import os
from typing import NamedTuple

from labkit.kernel.files import write_atomically
from labkit.paths import Paths


class Record(NamedTuple):
    """What `make` has set out to do, written before each thing it does.

    `uuid` marks a spare disk as ours; `scheduler` is what was in charge of the device before.
    """

    device: str
    is_spare: bool
    uuid: str
    size_bytes: int
    scheduler: str


def mount_point(paths: Paths) -> str:
    """Where the lab disk is mounted."""
    return f"{paths.run}/lab-disk"


def folder(paths: Paths) -> str:
    """Where the record and the file of the loop device are."""
    return f"{paths.root}/lab-disk"


def image(paths: Paths) -> str:
    """The file of the loop device."""
    return f"{folder(paths)}/disk.img"


def read(paths: Paths) -> Record | None:
    """The record, if there is one."""
    try:
        with open(_file(paths), "rb") as file:
            return Record(**json.load(file))
    except FileNotFoundError:
        return None


def write(paths: Paths, record: Record) -> None:
    """Keep the record; on return it is on disk."""
    os.makedirs(paths.root, 0o700, exist_ok=True)
    os.makedirs(folder(paths), 0o700, exist_ok=True)
    write_atomically(_file(paths), json.dumps(record._asdict(), indent=2).encode())


def forget(paths: Paths) -> None:
    """Remove the record and all that lies beside it."""
    if os.path.isdir(folder(paths)):
        for name in os.listdir(folder(paths)):
            os.unlink(f"{folder(paths)}/{name}")
        os.rmdir(folder(paths))


def _file(paths: Paths) -> str:
    return f"{folder(paths)}/disk.json"
