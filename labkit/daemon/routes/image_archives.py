"""Images as archives: save and load."""

from collections.abc import Iterator
from itertools import chain
from typing import TypeVar

import msgspec

from labkit.containers import Engine
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Stream
from labkit.daemon.routes.images import check_platform, platform_of
from labkit.errors import LabkitError
from labkit.images import loading, saving

TAR = "application/x-tar"
_Piece = TypeVar("_Piece")


def save(engine: Engine, request: Request) -> Answer:
    """`GET /images/get?names=&platform=`: an archive of several images."""
    return _saved(engine, request, request.query.texts("names"))


def save_one(engine: Engine, request: Request, reference: str) -> Answer:
    """`GET /images/{name}/get?platform=`: an archive of one image."""
    return _saved(engine, request, [reference])


def _saved(engine: Engine, request: Request, names: list[str]) -> Answer:
    # docker-py sends several names as one, separated by commas.
    asked = [name for text in names for name in text.split(",") if name]
    for saved in saving.choose(engine.images, asked):
        for platform in request.query.texts("platform"):
            check_platform(saved.image, saved.image.id, platform)
        engine.events.publish_image("save", saved.image)
    return Stream(_begun(saving.save(engine.images, asked)), TAR)


def load(engine: Engine, request: Request) -> Answer:
    """`POST /images/load?quiet=&platform=`: a stream of JSON objects that name what was loaded."""
    asked = request.query.text("platform")
    wanted = platform_of(asked) if asked else None
    events = loading.load(engine.images, request.body_file(), wanted)
    return Stream(_told(engine, events, quiet=request.query.flag("quiet")))


def _begun(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Get the first piece now, so that an error before it has its own HTTP status."""
    first = next(pieces, None)
    return chain([] if first is None else [first], pieces)


def _told(engine: Engine, events: Iterator[loading.Event], *, quiet: bool) -> Iterator[bytes]:
    try:
        for event in events:
            if isinstance(event, loading.Loaded):
                yield _line({"stream": _loaded(event)})
                engine.events.publish_image("load", event.image)
            elif not quiet:
                yield _line(_progress(event))
    except LabkitError as error:
        yield _line({"errorDetail": {"message": str(error)}, "error": str(error)})


def _loaded(event: loading.Loaded) -> str:
    if not event.names:
        return f"Loaded image ID: {event.image.id}\n"
    return "".join(f"Loaded image: {name}\n" for name in event.names)


def _progress(layer: loading.Layer) -> dict[str, object]:
    done_bytes = layer.size_bytes if layer.is_done else 0
    return {
        "status": "Loading layer",
        "progressDetail": {"current": done_bytes, "total": layer.size_bytes},
        "id": layer.id.removeprefix("sha256:")[:12],
    }


def _line(value: dict[str, object]) -> bytes:
    return msgspec.json.encode(value) + b"\r\n"
