"""The record of the lab disk, in labkit's data root, from which any interruption is repaired."""

import json
import os
from typing import NamedTuple

from labkit.kernel.files import write_atomically
from labkit.paths import Paths


class Record(NamedTuple):
    """The intention of `make`, written before each of its steps.

    `uuid` marks a spare disk as labkit's; `scheduler` is the device's scheduler before.
    """

    device: str
    is_spare: bool
    uuid: str
    size_bytes: int
    scheduler: str


def mount_point(paths: Paths) -> str:
    """Return the mount point of the lab disk."""
    return f"{paths.run}/lab-disk"


def folder(paths: Paths) -> str:
    """Return the folder of the record and of the loop device's file."""
    return f"{paths.root}/lab-disk"


def image(paths: Paths) -> str:
    """Return the path of the loop device's file."""
    return f"{folder(paths)}/disk.img"


def read(paths: Paths) -> Record | None:
    """Return the record, or None."""
    try:
        with open(_file(paths), "rb") as file:
            return Record(**json.load(file))
    except FileNotFoundError:
        return None


def write(paths: Paths, record: Record) -> None:
    """Write the record; on return it is on disk."""
    os.makedirs(paths.root, 0o700, exist_ok=True)
    os.makedirs(folder(paths), 0o700, exist_ok=True)
    write_atomically(_file(paths), json.dumps(record._asdict(), indent=2).encode())


def forget(paths: Paths) -> None:
    """Remove the record and all files beside it."""
    if os.path.isdir(folder(paths)):
        for name in os.listdir(folder(paths)):
            os.unlink(f"{folder(paths)}/{name}")
        os.rmdir(folder(paths))


def _file(paths: Paths) -> str:
    return f"{folder(paths)}/disk.json"
