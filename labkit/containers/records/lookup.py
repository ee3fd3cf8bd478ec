"""The containers that the daemon knows, found by id, by the beginning of an id, or by name."""

import threading
from collections import OrderedDict

from labkit.containers.records.entry import Entry
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError

GONE_KEPT = 64
"""The number of removed containers whose end can still be asked for."""


class Lookup:
    """Every container, by id and by name.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, Entry] = {}
        self._id_of_name: dict[str, str] = {}
        self._gone: OrderedDict[str, Entry] = OrderedDict()

    def reserve_name(self, name: str, container_id: str) -> None:
        """Reserve a name for a container that is being created; ConflictError if it is in use."""
        with self._lock:
            holder = self._id_of_name.setdefault(name, container_id)
        if holder != container_id:
            raise ConflictError(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{holder}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            )

    def names(self) -> set[str]:
        """The names in use."""
        with self._lock:
            return set(self._id_of_name)

    def add(self, entry: Entry) -> None:
        """Make a container known; its name has been reserved."""
        with self._lock:
            self._by_id[entry.container.id] = entry
            self._id_of_name[entry.container.name] = entry.container.id

    def release_name(self, name: str, container_id: str) -> None:
        """Free a name that this container no longer has."""
        with self._lock:
            if self._id_of_name.get(name) == container_id:
                del self._id_of_name[name]

    def release(self, name: str, container_id: str) -> None:
        """Forget a container, and free its name."""
        with self._lock:
            if entry := self._by_id.pop(container_id, None):
                self._gone[container_id] = entry
                while len(self._gone) > GONE_KEPT:
                    self._gone.popitem(last=False)
        self.release_name(name, container_id)

    def all(self) -> list[Entry]:
        """Every container, the newest first."""
        with self._lock:
            entries = list(self._by_id.values())
        return sorted(entries, key=lambda entry: entry.container.created, reverse=True)

    def find(self, ref: str) -> Entry:
        """The container with this full id, else with this name, else with this beginning of an id.

        NotFoundError; InvalidParameterError if several ids begin so.
        """
        ref = ref.removeprefix("/")
        with self._lock:
            if found := self._by_id.get(ref) or self._by_id.get(self._id_of_name.get(ref, "")):
                return found
            matches = [entry for key, entry in self._by_id.items() if ref and key.startswith(ref)]
        if len(matches) > 1:
            raise InvalidParameterError(
                f"Multiple IDs found with provided prefix: {ref}; give more of the id"
            )
        if not matches:
            raise NotFoundError(f"No such container: {ref}")
        return matches[0]

    def find_or_gone(self, ref: str) -> Entry:
        """Like `find`, but a full id also finds a container that was removed recently.

        A container with --rm may end, and be removed, before a client can ask for its end.
        """
        with self._lock:
            gone = self._gone.get(ref)
        return gone or self.find(ref)
