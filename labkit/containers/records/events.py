"""What happens to containers, told to whoever listens (`labkit events`, the API's `/events`).

The last events are kept, so that one who comes a little late can ask for them by time.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from labkit.images import Image

KEPT = 256
WAITING_MAX = 4096
"""How many events may wait for one listener; then it is cut off, for it does not read."""


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
        self._listeners: dict[queue.SimpleQueue[Event | None], Callable[[], None]] = {}

    def publish(self, kind: str, action: str, key: str, attributes: dict[str, str]) -> None:
        """Tell everyone who listens."""
        event = Event(kind, action, key, attributes, time.time_ns())
        with self._lock:
            self._kept.append(event)
            full = [own for own in self._listeners if own.qsize() >= WAITING_MAX]
            cuts = [self._listeners.pop(own) for own in full]
            for own in self._listeners:
                own.put(event)
        for cut in cuts:
            cut()

    def publish_image(self, action: str, image: Image, name: str = "") -> None:
        """Tell whoever listens what happens to an image; without a name it is called by its id."""
        attributes = {**(image.config.labels or {}), "name": name or image.id}
        self.publish("image", action, image.id, attributes)

    def listen(
        self,
        since_ns: int | None = None,
        silence_s: float = 1.0,
        cut: Callable[[], None] = lambda: None,
    ) -> "Listener":
        """From now on every event, after the kept ones since then (None: none of them).

        `cut` is called if the listener falls so far behind that it gets no more events.
        """
        own: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with self._lock:
            for event in self._kept:
                if since_ns is not None and event.time_ns >= since_ns:
                    own.put(event)
            self._listeners[own] = cut
        return Listener(own, silence_s, lambda: self._forget(own))

    def _forget(self, listener: "queue.SimpleQueue[Event | None]") -> None:
        with self._lock:
            self._listeners.pop(listener, None)


class Listener:
    """The events for one who listens, as they come.  To be closed."""

    def __init__(
        self, own: "queue.SimpleQueue[Event | None]", silence_s: float, forget: Callable[[], None]
    ) -> None:
        self._own = own
        self._silence_s = silence_s
        self._forget = forget

    def __iter__(self) -> Iterator[Event | None]:
        """After `silence_s` without an event None is given, so that the reader can look up."""
        while True:
            try:
                yield self._own.get(timeout=self._silence_s)
            except queue.Empty:
                yield None

    def close(self) -> None:
        """Listen no more."""
        self._forget()
