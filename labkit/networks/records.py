"""Networks on disk: one file `networks/<id>.json` each."""

import contextlib
import os
from collections.abc import Iterator

import msgspec

from labkit.kernel import files
from labkit.networks.model import Network
from labkit.set_aside import UNREADABLE, ignored, set_aside

_ENDING = ".json"
_UNFINISHED = ".tmp"


class NetworkRecords:
    """The files of networks.  Every change is durable when its method returns."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._base = f"{root}/networks"
        self.warnings: list[str] = []
        """A warning for each record that could not be read."""
        os.makedirs(self._base, 0o700, exist_ok=True)

    def load_all(self) -> Iterator[Network]:
        """Yield every network; remains of unfinished writes are removed."""
        for name in sorted(os.listdir(self._base)):
            path = f"{self._base}/{name}"
            if name.endswith(_UNFINISHED):
                os.unlink(path)
                continue
            if not name.endswith(_ENDING):
                self.warnings.append(ignored(path))
                continue
            try:
                with open(path, "rb") as file:
                    network = msgspec.json.decode(file.read(), type=Network)
            except UNREADABLE as error:
                self.warnings.append(set_aside(self._root, path, error))
                continue
            if f"{network.id}{_ENDING}" == name:
                yield network
            else:
                self.warnings.append(set_aside(self._root, path, f"it has the id {network.id}"))

    def set_aside(self, network: Network, why: object) -> None:
        """Move away the record of a network that cannot be used."""
        path = f"{self._base}/{network.id}{_ENDING}"
        self.warnings.append(set_aside(self._root, path, why))

    def save(self, network: Network) -> None:
        """Write a network's record."""
        data = msgspec.json.format(msgspec.json.encode(network), indent=2)
        files.write_atomically(f"{self._base}/{network.id}{_ENDING}", data)

    def remove(self, network: Network) -> None:
        """Remove a network's record."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._base}/{network.id}{_ENDING}")
        files.sync_folder(self._base)
