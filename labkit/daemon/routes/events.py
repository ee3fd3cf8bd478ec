"""`GET /events`: the engine's events, as they happen."""

import re
import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from labkit.containers import Engine
from labkit.containers.records.events import Event, Listener
from labkit.daemon import filters
from labkit.daemon.filters import Filters
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Stream
from labkit.daemon.shapes.containers import JsonObject
from labkit.dialect.durations import NS_PER_S
from labkit.dialect.moments import parse_s
from labkit.errors import InvalidParameterError
from labkit.http.connection import Connection
from labkit.images import references

FILTERS = ("config", "container", "daemon", "event", "image", "label", "network", "node", "plugin",
           "scope", "secret", "service", "type", "volume")  # fmt: skip
_SECONDS = re.compile(r"-?\d{1,12}(\.\d{1,9})?", re.ASCII)


def events(engine: Engine, request: Request) -> Answer:
    """`GET /events?since=&until=&filters=`: one JSON object per event, until the client leaves.

    Earlier events are those that this daemon still has (labkit.containers.records.events): since
    `since`, or all of them if only `until` is given.
    """
    query = request.query
    since, until = query.text("since"), query.text("until")
    since_ns, until_ns = _time_ns(since), _time_ns(until)
    if until and since and since_ns > until_ns:
        raise InvalidParameterError(
            f"`since` time ({since}) cannot be after `until` time ({until})"
        )
    # As in Docker, a filter that events do not have is ignored.
    said = filters.parse(query.text("filters"), None)
    asked = {name: words for name, words in said.items() if name in FILTERS}
    begin_ns = since_ns if since or until else None
    listener = engine.events.listen(begin_ns, cut=request.connection.abort)
    end_ns = until_ns if until else None
    return Stream(_Lines(listener, asked, end_ns, request.connection))


class _Lines:
    """The events as lines; it is closed even if the client never reads the first one."""

    def __init__(
        self, listener: Listener, asked: Filters, until_ns: int | None, client: Connection
    ) -> None:
        self._listener = listener
        self._asked = asked
        self._until_ns = until_ns
        self._client = client

    def __iter__(self) -> Iterator[bytes]:
        for event in self._listener:
            if self._is_over(event):
                return
            if event is not None and _matches(event, self._asked):
                yield msgspec.json.encode(_shape(event)) + b"\n"
            elif self._client.client_is_gone():
                return

    def _is_over(self, event: Event | None) -> bool:
        now_ns = event.time_ns if event else time.time_ns()
        return self._until_ns is not None and now_ns > self._until_ns

    def close(self) -> None:
        self._listener.close()


def _time_ns(text: str) -> int:
    """A time in nanoseconds since 1970, given in seconds or as RFC 3339; 0 if it is missing."""
    if not text:
        return 0
    if _SECONDS.fullmatch(text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * NS_PER_S + int(fraction.ljust(9, "0") or 0)
    return max(1, int(parse_s(text, time.time()) * NS_PER_S))


def _of(kind: str) -> Callable[[Event, str], bool]:
    """Make a test for one kind of thing, by its id, the beginning of its id, or its name."""

    def is_it(event: Event, word: str) -> bool:
        return event.kind == kind and (
            event.id.startswith(word) or event.attributes.get("name") == word
        )

    return is_it


def _is_image(event: Event, word: str) -> bool:
    """Whether an event is of an image with this id or name, with or without a tag or digest."""
    is_image = event.kind == "image"
    names = [event.attributes.get("name" if is_image else "image", "")]
    names += [event.id] if is_image else []
    return any(word in (name, _without_tag(name)) for name in names)


def _without_tag(name: str) -> str:
    try:
        return references.parse(name).repository
    except InvalidParameterError:
        return name


_TESTS: Mapping[str, Callable[[Event, str], bool]] = {
    "type": lambda event, word: event.kind == word,
    # `exec_create` also finds `exec_create: sh -c …`
    "event": lambda event, word: word in (event.action, event.action.partition(":")[0]),
    "container": _of("container"),
    "volume": _of("volume"),
    "network": _of("network"),
    "image": _is_image,
    "scope": lambda event, word: word == "local",
    # There is one daemon, and nothing of swarm's kinds.
    "daemon": lambda event, word: False,
}


def _matches(event: Event, asked: Filters) -> bool:
    def passes(name: str, words: list[str]) -> bool:
        test = _TESTS.get(name)
        return test is not None and any(test(event, word) for word in words)

    others = {name: words for name, words in asked.items() if name != "label" and words}
    return filters.has_labels(asked, event.attributes) and all(
        passes(name, words) for name, words in others.items()
    )


def _shape(event: Event) -> JsonObject:
    shape: JsonObject = {
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "scope": "local",
        "time": event.time_ns // 1_000_000_000,
        "timeNano": event.time_ns,
    }
    if event.kind == "container":
        # Old fields, which clients before API 1.22 read.
        shape |= {"status": event.action, "id": event.id, "from": event.attributes.get("image", "")}
    return shape
