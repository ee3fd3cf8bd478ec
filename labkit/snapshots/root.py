"""Opening a data root: the storage driver is chosen once, and never changes.

Opening a root of the driver `loop` mounts it; closing unmounts it, unless another process uses it,
which the kernel decides (EBUSY).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from labkit.errors import ConflictError, InvalidParameterError, LabkitError
from labkit.kernel import power
from labkit.snapshots import loop_image, record, trials
from labkit.snapshots.record import ALIASES, COSTS, DRIVERS, LOOP, OVERLAYFS, Record

_CONTENT = ("layers", "images", "containers")
"""Folders of a data root that has been used."""


class Storage(NamedTuple):
    """An open data root, and the driver that it was made with."""

    root: str
    driver: str
    why: str = ""
    """Why no better driver works; "" if it is the first."""


def parse_driver(text: str) -> str:
    """Return a driver's name, for it or Docker's name; "" stays ""; InvalidParameterError."""
    driver = ALIASES.get(text, text)
    if driver and driver not in DRIVERS:
        known = ", ".join(DRIVERS)
        raise InvalidParameterError(f"unknown storage driver {text}: known are {known}")
    return driver


def open_root(root: str, wanted: str = "") -> Storage:
    """Open a data root, which is made if it is missing; call this before threads are started.

    `wanted` is a driver's name, or "" for the root's own, or else for the first that works.
    ConflictError if the root was made with another driver; LabkitError; OSError.
    """
    wanted = parse_driver(wanted)
    os.makedirs(root, 0o700, exist_ok=True)
    with _alone(root):
        known = record.read(root) or _of_old(root)
        if known is None:
            return _choose(root, wanted)
        if why := record.other_kind(root, known, limited=power.IS_LIMITED):
            raise ConflictError(f"{why}; {record.WAY_OUT_OF_OTHER_KIND}")
        if wanted and wanted != known.driver:
            raise ConflictError(
                f"the data root {root} was made with the storage driver {known.driver}, and "
                f"cannot be opened with {wanted}: leave out --storage-driver, name another root "
                "(--root), or remove this one with its images and containers (make clean)"
            )
        if known.driver == LOOP:
            loop_image.mount(root)
        return Storage(root, known.driver, known.why)


def close(storage: Storage) -> None:
    """Unmount the driver's file system, unless it is in use."""
    if storage.driver == LOOP:
        loop_image.unmount(storage.root)


@contextmanager
def opened(root: str, wanted: str = "") -> Iterator[Storage]:
    """A data root that is open during a block."""
    storage = open_root(root, wanted)
    try:
        yield storage
    finally:
        close(storage)


def status(root: str) -> list[list[str]]:
    """Return the lines for `info` about a data root's storage: names and values."""
    known = record.read(root) or Record(OVERLAYFS)
    rows = loop_image.figures(root) if known.driver == LOOP else []
    if known.driver != OVERLAYFS:
        rows.append(["Cost", COSTS[known.driver]])
    if known.why:
        rows.append(["Why", known.why])
    return rows


def _of_old(root: str) -> Record | None:
    """Return the record of a root from the time of one driver; None for an empty root."""
    if not any(os.path.isdir(os.path.join(root, name)) for name in _CONTENT):
        return None
    known = Record(OVERLAYFS)
    record.write(root, known)
    return known


def _choose(root: str, wanted: str) -> Storage:
    """Make a new root with the wanted driver, or else the first that works."""
    failures: list[str] = []
    for driver in [wanted] if wanted else DRIVERS:
        why = "; ".join(failures)
        failure = _try(driver, root, why)
        if not failure:
            return Storage(root, driver, why)
        failures.append(f"{driver}: {failure}")
    raise LabkitError(
        f"the storage driver {wanted} does not work in {root}: {failures[-1].partition(': ')[2]}; "
        "name another (--storage-driver), or leave it out"
    )


def _try(driver: str, root: str, why: str) -> str:
    """ "" if the root has the driver now, else the reason why not."""
    if driver == OVERLAYFS and (failure := trials.in_child(trials.overlay, root)):
        return failure
    if driver != LOOP:
        record.write(root, Record(driver, why=why, limited=power.IS_LIMITED))
        return ""
    try:
        loop_image.make(root, why)
    except OSError as error:
        return f"{error.filename or root}: {error.strerror or error}"
    record.write(root, Record(driver, why=why))
    loop_image.mount(root)
    return ""


@contextmanager
def _alone(root: str) -> Iterator[None]:
    """Admit one process at a time: flock(2) on the folder, which a mount may cover later."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
