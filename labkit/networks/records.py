"""Networks on disk: `networks/<id>.json`, one file each."""

import contextlib
import os
from collections.abc import Iterator

import msgspec

from labkit.kernel import files
from labkit.networks.model import Network

_ENDING = ".json"


class NetworkRecords:
    """The files.  Every change is durable when it returns."""

    def __init__(self, root: str) -> None:
        self._base = f"{root}/networks"
        os.makedirs(self._base, 0o700, exist_ok=True)

    def load_all(self) -> Iterator[Network]:
        """Every network; what an unfinished write left is removed."""
        for name in sorted(os.listdir(self._base)):
            path = f"{self._base}/{name}"
            if not name.endswith(_ENDING):
                os.unlink(path)
                continue
            with open(path, "rb") as file:
                yield msgspec.json.decode(file.read(), type=Network)

    def save(self, network: Network) -> None:
        """Write one."""
        data = msgspec.json.format(msgspec.json.encode(network), indent=2)
        files.write_atomically(f"{self._base}/{network.id}{_ENDING}", data)

    def remove(self, network: Network) -> None:
        """Remove one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._base}/{network.id}{_ENDING}")
        files.sync_folder(self._base)
