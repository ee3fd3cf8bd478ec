"""The engine's events: one JSON object a line, without end."""

import json

from labkit.client.api import Api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


def events(api: Api, **query: object) -> "Iterator[dict[str, Any]]":
    """Yield the events of `GET /events`; a reader that stops early ends the request."""
    response = api.stream("GET", "/events", **query)
    try:
        for line in lines(response):
            yield json.loads(line)
    finally:
        response.close()


def lines(pieces: "Iterable[bytes]") -> "Iterator[bytes]":
    """Yield the lines that are not empty, each as soon as it is complete."""
    unfinished = b""
    for piece in pieces:
        *whole, unfinished = (unfinished + piece).split(b"\n")
        yield from filter(bytes.strip, whole)
    if unfinished.strip():
        yield unfinished
