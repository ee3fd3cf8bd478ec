"""The systems whose programs are the peers: this machine's own, and a newer Debian in a folder.

Debian 12 has a dockerd of 2020 and a podman of 2022.  `vagrant/provision.sh peers_root` makes a
Debian 13 with today's, once, beside the virtual environment.
"""

import os
import sys
from typing import NamedTuple

PLACE = f"{sys.prefix}/share/labkit/peers"
"""The folder of the newer Debian, if this machine needs one."""
FOLDERS = ("usr/sbin", "usr/bin")


class System(NamedTuple):
    """A system by its root folder, `/` for this machine."""

    root: str

    @property
    def release(self) -> str:
        """Return its name and version, from os-release(5)."""
        with open(os.path.join(self.root, "usr/lib/os-release")) as file:
            fields = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
        return fields["PRETTY_NAME"].strip('"')

    def find(self, program: str) -> str | None:
        """Return the path of a program of its packages, in the system, or None."""
        paths = (f"/{folder}/{program}" for folder in FOLDERS)
        return next((path for path in paths if os.access(self.seen(path), os.X_OK)), None)

    def seen(self, path: str) -> str:
        """Return a path of the system as this machine sees it."""
        return os.path.join(self.root, path.lstrip("/"))


HERE = System("/")


def newest() -> System:
    """Return the system with the newest peers."""
    return System(PLACE) if os.path.isdir(PLACE) else HERE


def every() -> list[System]:
    """Return all of them, the newest first."""
    return list(dict.fromkeys([newest(), HERE]))
