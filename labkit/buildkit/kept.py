"""The last context of each folder, kept so that unchanged files are not sent again.

A client sends the same key for each build of a folder.  The last context stays in a file without a
name, with an index in memory.  labkit does not request a file whose mode, size and time are
unchanged; nothing else on the wire shows this.  The contexts vanish with the daemon.
"""

import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from labkit.buildkit.receiving import ContentFile, Known

ENTRIES_MAX = 32
KEPT_MAX_BYTES = 4 << 30
WASTE_MAX_BYTES = 64 << 20
"""How much unused content a kept file may hold; half of the file may always be unused."""

Key = tuple[str, str]
"""The client's key for its folder, and the name of one of its folders."""


class KeptContext(NamedTuple):
    """One context, in the form of `du`."""

    name: str
    size_bytes: int
    created_s: float
    used_s: float
    uses: int
    is_in_use: bool


class Slot:
    """One context, while a build receives it."""

    def __init__(self, folder: str) -> None:
        fd, path = tempfile.mkstemp(dir=folder)
        os.unlink(path)
        self.fd = fd
        self.folder = folder
        self.size_bytes = 0
        self.known: Mapping[bytes, Known] = {}
        self.created_s = self.used_s = time.time()
        self.uses = 0
        self.is_in_use = True

    def content(self) -> ContentFile:
        """Return the place for new content."""
        return ContentFile(self.fd, self.folder, self.size_bytes)

    def note(self, content: ContentFile, found: Mapping[bytes, Known]) -> None:
        """Note the files of this time as the context."""
        self.size_bytes = content.size_bytes
        self.known = found
        self.used_s = time.time()
        self.uses += 1

    @property
    def is_wasteful(self) -> bool:
        """Whether most of it is content of files that have changed since."""
        files = {id(each.node): each.node for each in self.known.values()}
        live_bytes = sum(node.member.size for node in files.values() if node.kind == "file")
        return self.size_bytes - live_bytes > max(live_bytes, WASTE_MAX_BYTES)

    def close(self) -> None:
        """Close the file; archives that read it have their own descriptors."""
        os.close(self.fd)


class Kept:
    """The contexts of earlier builds; several threads may use it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._slots: OrderedDict[Key, Slot] = OrderedDict()

    @contextmanager
    def slot(self, key: Key) -> Iterator[Slot]:
        """The context of a key during the block.

        A build beside another one of the same folder has a separate one, which is not kept; nor is
        that of a client without a key.
        """
        slot = self._take(key)
        is_good = False
        try:
            yield slot
            is_good = True
        finally:
            self._give_back(key, slot, is_good=is_good)

    def _take(self, key: Key) -> Slot:
        os.makedirs(self._folder, 0o700, exist_ok=True)
        with self._lock:
            slot = self._slots.get(key)
            if slot is not None and not slot.is_in_use:
                slot.is_in_use = True
                return slot
            fresh = Slot(self._folder)
            if slot is None and key[0]:
                self._slots[key] = fresh
            return fresh

    def _give_back(self, key: Key, slot: Slot, *, is_good: bool) -> None:
        with self._lock:
            slot.is_in_use = False
            if self._slots.get(key) is not slot:
                slot.close()
                return
            self._slots.move_to_end(key)
            if not is_good or slot.is_wasteful:
                self._drop(key)
            self._bound()

    def _bound(self) -> None:
        """Forget the oldest while there are too many."""
        while self._slots and (
            len(self._slots) > ENTRIES_MAX
            or sum(slot.size_bytes for slot in self._slots.values()) > KEPT_MAX_BYTES
        ):
            oldest = next((key for key, slot in self._slots.items() if not slot.is_in_use), None)
            if oldest is None:
                return
            self._drop(oldest)

    def _drop(self, key: Key) -> None:
        self._slots.pop(key).close()

    def all(self) -> list[KeptContext]:
        """Return all kept contexts."""
        with self._lock:
            return [self._shown(key, slot) for key, slot in self._slots.items()]

    def prune(self, is_chosen: Callable[[KeptContext], bool] = lambda _: True) -> list[KeptContext]:
        """Forget the chosen contexts that no build uses; return them."""
        with self._lock:
            idle = [
                (key, slot)
                for key, slot in self._slots.items()
                if not slot.is_in_use and is_chosen(self._shown(key, slot))
            ]
            gone = [self._shown(key, slot) for key, slot in idle]
            for key, _ in idle:
                self._drop(key)
        return gone

    def _shown(self, key: Key, slot: Slot) -> KeptContext:
        name = f"local source for {key[1]} ({key[0].partition(':')[0]})"
        return KeptContext(
            name, slot.size_bytes, slot.created_s, slot.used_s, slot.uses, slot.is_in_use
        )
