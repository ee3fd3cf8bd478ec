"""What happens to containers, told to whoever listens (`labkit events`, the API's `/events`).

The last events are kept, so that one who comes a little late can ask for them by time.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator

import msgspec

KEPT = 256


class Event(msgspec.Struct, frozen=True):
    """One thing that happened: `action` to the `kind` of thing called `id`, as in Docker's API."""

    kind: str
    """`container`, `image`, `volume`, `network`."""
    action: str
    id: str
    attributes: dict[str, str]
    time_ns: int


class Events:
    """Where events are published, and from where they are read.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[queue.SimpleQueue[Event | None]] = set()

    def publish(self, kind: str, action: str, key: str, attributes: dict[str, str]) -> None:
        """Tell everyone who listens."""
        event = Event(kind, action, key, attributes, time.time_ns())
        with self._lock:
            self._kept.append(event)
            for listener in self._listeners:
                listener.put(event)

    def listen(self, since_ns: int = 0, silence_s: float = 1.0) -> Iterator[Event | None]:
        """The kept events since then (0: none of them), then each as it comes.

        After `silence_s` without one, None is given, so that the reader can look up.
        """
        own: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with self._lock:
            earlier = [event for event in self._kept if since_ns and event.time_ns >= since_ns]
            self._listeners.add(own)
        try:
            yield from earlier
            while True:
                try:
                    yield own.get(timeout=silence_s)
                except queue.Empty:
                    yield None
        finally:
            with self._lock:
                self._listeners.discard(own)
