"""Events of containers, images, networks and volumes (`labkit events`, the API's `/events`).

The last events are kept, so that a client that comes a little late can ask for them by time.
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
"""The most events that may wait for one listener; then the listener is cut off as too slow."""


class Event(msgspec.Struct, frozen=True):
    """One event: `action` on the `kind` of thing with this `id`, as in Docker's API."""

    kind: str
    """`container`, `image`, `volume`, `network`."""
    action: str
    id: str
    attributes: dict[str, str]
    time_ns: int


class Events:
    """The events of an engine, for publishers and listeners.  Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: dict[queue.SimpleQueue[Event | None], Callable[[], None]] = {}

    def publish(self, kind: str, action: str, key: str, attributes: dict[str, str]) -> None:
        """Send an event to every listener."""
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
        """Publish an event of an image; without a name the image's id is used."""
        attributes = {**(image.config.labels or {}), "name": name or image.id}
        self.publish("image", action, image.id, attributes)

    def listen(
        self,
        since_ns: int | None = None,
        silence_s: float = 1.0,
        cut: Callable[[], None] = lambda: None,
    ) -> "Listener":
        """Listen to all events from now on, after the kept ones since `since_ns` (None: none).

        `cut` is called if the listener is so slow that it gets no more events.
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
    """The events for one listener.  The listener must be closed."""

    def __init__(
        self, own: "queue.SimpleQueue[Event | None]", silence_s: float, forget: Callable[[], None]
    ) -> None:
        self._own = own
        self._silence_s = silence_s
        self._forget = forget

    def __iter__(self) -> Iterator[Event | None]:
        """Yield events; None after `silence_s` without one, so that the reader gets control."""
        while True:
            try:
                yield self._own.get(timeout=self._silence_s)
            except queue.Empty:
                yield None

    def close(self) -> None:
        """Stop listening."""
        self._forget()
