"""`POST /build?version=2`: BuildKit as Docker's command used it from 2018 to 2022.

The stream carries BuildKit's own messages, in base64: `{"id": "moby.buildkit.trace", "aux": …}`.
"""

import base64
import secrets
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, cast

from labkit.buildkit import by_request
from labkit.containers import Engine
from labkit.daemon.requests import Query, Request, json_of
from labkit.daemon.responses import Answer, Stream, json_response
from labkit.daemon.routes import build as classic
from labkit.daemon.routes.build_service import service
from labkit.errors import LabkitError
from labkit.images import references
from labkit.images.archives.compression import CHUNK_BYTES
from labkit.images.layers import limit_bytes
from labkit.rpc.errors import CallError

if TYPE_CHECKING:
    from labkit.buildkit.messages import SolveRequest

CLIENT_SESSION, UPLOAD = "client-session", "upload-request"
"""The sources of a context: the session, or a second request."""

_UPLOADS = by_request.Uploads()
_BUILDS: dict[str, threading.Event] = {}


def build(engine: Engine, request: Request) -> Answer:
    """Build, or take the context for a build that waits for it."""
    query = request.query
    build_id = query.text("buildid")
    if build_id.startswith(f"{UPLOAD}:"):
        _UPLOADS.give(build_id.removeprefix(f"{UPLOAD}:"), _received(engine, request))
        return json_response({})
    remote = query.text("remote")
    sent: BinaryIO | None = None
    if remote == UPLOAD:
        sent = _UPLOADS.take(build_id)
    elif not remote:
        sent = _received(engine, request)
    names = [name for name in query.texts("t") if name]
    for name in names:
        references.parse_tag(name)
    attributes = _attributes(query)
    if remote not in ("", UPLOAD, CLIENT_SESSION):
        attributes["context"] = remote
    ref = build_id or secrets.token_hex(16)
    asked = by_request.request_for(ref, query.text("session"), attributes, names)
    return Stream(_messages(engine, request, asked, sent))


def cancel(engine: Engine, request: Request) -> Answer:
    """`POST /build/cancel?id=`: cancel a build."""
    is_cancelled = _BUILDS.get(request.query.text("id"))
    if is_cancelled is not None:
        is_cancelled.set()
    return json_response({})


def _attributes(query: Query) -> dict[str, str]:
    """The frontend's attributes for the request's parameters."""
    found = {"filename": query.text("dockerfile") or "Dockerfile"}
    for name, key in (
        ("target", "target"),
        ("platform", "platform"),
        ("networkmode", "force-network-mode"),
        ("shmsize", "shm-size"),
    ):
        if query.text(name) not in ("", "0"):
            found[key] = query.text(name)
    for name, prefix in (("buildargs", "build-arg:"), ("labels", "label:")):
        given = json_of(query, name, dict[str, str | None]) or {}
        found |= {f"{prefix}{key}": value for key, value in given.items() if value is not None}
    hosts = [host.partition(":")[::2] for host in query.texts("extrahosts")]
    limits = json_of(query, "ulimits", list[dict[str, object]]) or []
    lists: Mapping[str, list[str]] = {
        "add-hosts": [f"{name}={address}" for name, address in hosts],
        "ulimit": [f"{each['Name']}={each['Soft']}:{each['Hard']}" for each in limits],
    }
    found |= {key: ",".join(values) for key, values in lists.items() if values}
    if query.flag("nocache"):
        found["no-cache"] = ""
    if query.flag("pull"):
        found["image-resolve-mode"] = "pull"
    return found


def _received(engine: Engine, request: Request) -> BinaryIO:
    """Store the request's body in a file without a name."""
    folder = engine.paths.root
    left_bytes = limit_bytes(folder)
    file = tempfile.TemporaryFile(dir=folder)
    body = request.body_file()
    while piece := body.read(CHUNK_BYTES):
        left_bytes -= len(piece)
        if left_bytes < 0:
            file.close()
            raise LabkitError(f"the context does not fit in {folder}: No space left on device")
        file.write(piece)
    file.seek(0)
    return cast("BinaryIO", file)


def _messages(
    engine: Engine, request: Request, asked: "SolveRequest", sent: BinaryIO | None
) -> Iterator[bytes]:
    is_cancelled = _BUILDS.setdefault(asked.ref, threading.Event())

    def is_gone() -> bool:
        return is_cancelled.is_set() or request.connection.client_is_gone()

    try:
        for news in by_request.run(service(engine), asked, sent, is_gone):
            if isinstance(news, bytes):
                trace = base64.b64encode(news).decode()
                yield classic.encoded({"id": "moby.buildkit.trace", "aux": trace})
            else:
                image = {"ID": news.get("containerimage.digest", "")}
                yield classic.encoded({"id": "moby.image.id", "aux": image})
    except CallError as error:
        yield classic.encoded(classic.failure(str(error), 1))
    finally:
        _BUILDS.pop(asked.ref, None)
        if sent is not None:
            sent.close()
