"""`storage.json` in a data root: the driver that the root was made with, which never changes."""

import json
import os
from typing import NamedTuple

from labkit.errors import ConflictError, LabkitError
from labkit.kernel.files import write_atomically

OVERLAYFS, LOOP, COPIES = "overlayfs", "loop", "copies"
DRIVERS = (OVERLAYFS, LOOP, COPIES)
"""The drivers in the order in which they are tried."""
ALIASES = {"overlay": OVERLAYFS, "overlay2": OVERLAYFS, "vfs": COPIES}
"""Docker's names for the same drivers."""

COSTS = {
    OVERLAYFS: "nothing to speak of: layers are shared, and a file is copied when it is first"
    " written",
    LOOP: "as overlayfs, with one more file system below; the space of one file, which grows",
    COPIES: "each container is a whole copy of its image: time at its first start, and space",
}
"""The cost of each driver."""

FILE = "storage.json"
VERSION = 1
"""The version of the data root's format.  A release that changes the format so that earlier ones
would misread it increases this number, and reads the earlier formats itself."""


class Record(NamedTuple):
    """The record of a data root's storage."""

    driver: str
    is_inside: bool = False
    """Whether this is the record within the file system of the driver `loop`."""
    why: str = ""
    """Why no driver before this one worked, when it was chosen."""
    limited: bool = False
    """Whether an engine without root made it: its files have other owners and other marks."""
    version: int = VERSION


def read(root: str) -> Record | None:
    """Return the record of a data root, None if it has none.

    LabkitError if it is damaged, ConflictError if a later release has written it.
    """
    path = os.path.join(root, FILE)
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        kept = (str(found["Driver"]), bool(found["Inside"]), str(found["Why"]))
        record = Record(*kept, bool(found.get("Limited", False)), int(found.get("Version", 1)))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LabkitError(f"{path} is damaged ({error!r}): it names the storage driver") from None
    if record.version > VERSION:
        raise ConflictError(
            f"the data root {root} cannot be opened: a later release of labkit wrote it in "
            f"format {record.version}, and this one knows format {VERSION}: use that release, or "
            "name another root (--root, LABKIT_ROOT)"
        )
    if record.driver not in DRIVERS:
        raise LabkitError(f"{path} names an unknown storage driver: {record.driver}")
    return record


def other_kind(root: str, record: Record, *, limited: bool) -> str:
    """Return why an engine with or without root (`limited`) cannot open this root; "" if it can."""
    if record.limited == limited:
        return ""
    made, here = ("without", "with") if record.limited else ("with", "without")
    return (
        f"the data root {root} belongs to an engine {made} root, and this labkitd runs {here}: "
        "the owners of its files would be wrong"
    )


WAY_OUT_OF_OTHER_KIND = (
    "start labkitd as the user who made it, or name another root (--root, LABKIT_ROOT)"
)


def write(root: str, record: Record) -> None:
    """Write the record; OSError."""
    shown = {
        "Driver": record.driver,
        "Inside": record.is_inside,
        "Why": record.why,
        "Limited": record.limited,
        "Version": record.version,
    }
    write_atomically(os.path.join(root, FILE), json.dumps(shown, indent=2).encode())
