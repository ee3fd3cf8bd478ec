"""Building images: Docker's classic `POST /build`, a stream of JSON messages."""

import base64
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from labkit.build import telling
from labkit.build.builder import Build
from labkit.build.context import remote
from labkit.build.context.archive import Archive
from labkit.build.context.contexts import Contexts, Sent
from labkit.build.errors import BuildError, CancelledError
from labkit.build.options import Message, Options
from labkit.build.workroom import Workroom
from labkit.containers import Engine, HostConfig
from labkit.daemon.create_body import JsonObject, convert, refuse_not_yet
from labkit.daemon.errors import UnsupportedError
from labkit.daemon.requests import Query, Request, json_of
from labkit.daemon.responses import Answer, Stream
from labkit.daemon.routes import registries
from labkit.dialect.unreadable import UNREADABLE
from labkit.errors import InvalidParameterError, LabkitError
from labkit.images import platforms, references

if TYPE_CHECKING:
    from labkit.daemon.routes.build_session import Beside

SESSION_PARAMETERS = ("session", "contexts", "cacheto", "cacheimports")
"""Those that need more than the classic builder: `labkit.daemon.routes.build_session`."""
SECRETS_HEADER = "x-labkit-build-secrets"
"""A header of labkit's: a JSON object of secrets by id, base64 in base64; Docker's classic API has
no field for them.  They are not in the query, since queries appear in logs."""


_NUMBERS = {
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CpuShares",
    "cpuperiod": "CpuPeriod",
    "cpuquota": "CpuQuota",
    "shmsize": "ShmSize",
}
_TEXTS = {
    "cpusetcpus": "CpusetCpus",
    "cpusetmems": "CpusetMems",
    "cgroupparent": "CgroupParent",
    "networkmode": "NetworkMode",
    "isolation": "Isolation",
}
"""The API's parameters, and the fields of a container's HostConfig for them."""


def build(engine: Engine, request: Request) -> Answer:
    """`POST /build?t=&dockerfile=&buildargs=&…`: the body is the context, a tar archive.

    An error in the request or the Dockerfile has its own HTTP status.  An error during the build is
    the last message of the stream (`errorDetail`).
    """
    options = _options(request)
    with contextlib.ExitStack() as stack:
        workroom = Workroom(engine.paths, engine.parts.snapshots)
        stack.callback(workroom.close)
        context = _context(request, options, workroom)
        stack.callback(context.close)
        access = registries.ForBuild(engine, registries.from_build_request(request))
        sent = Sent(context, options)
        contexts: Contexts = sent
        beside: Beside | None = None
        if any(map(request.query.text, SESSION_PARAMETERS)):
            from labkit.daemon.routes import build_session  # noqa: PLC0415 seldom needed

            beside = build_session.beside(
                engine, request, sent, access, options=options, workroom=workroom, stack=stack
            )
            options, contexts = beside.options, beside.contexts
        made = Build(engine, options, contexts, workroom, access)
        kept = stack.pop_all()
    quiet = request.query.flag("q")
    return Stream(_messages(made, request, kept, beside, quiet=quiet))


def _context(request: Request, options: Options, workroom: Workroom) -> Archive:
    url = request.query.text("remote")
    if url:
        return remote.fetched(url, options.dockerfile, workroom)
    return remote.sent(request.body_file(), workroom)


def _messages(
    made: Build,
    request: Request,
    kept: contextlib.ExitStack,
    beside: "Beside | None",
    *,
    quiet: bool,
) -> Iterator[bytes]:
    """The stream of a build; the build ends if the client goes away.

    `quiet`: send only the image's id, unless the build fails.
    """
    untold: list[Message] = []
    with kept:
        try:
            for happened in made.run():
                if not happened and request.connection.client_is_gone():
                    return
                events = [said for each in happened if (said := telling.message(each)) is not None]
                told = [event for event in events if not quiet or "stream" not in event]
                untold += [event for event in events if quiet and "stream" in event]
                if told:
                    yield b"".join(map(encoded, told))
            for said in beside.export(made) if beside else ():
                if not (quiet and "stream" in said):
                    yield encoded(said)
            if quiet:
                yield encoded({"stream": f"{made.image_id}\n"})
        except CancelledError:
            return
        except BuildError as error:
            yield b"".join(map(encoded, [*untold, failure(str(error), error.code)]))
        except (LabkitError, OSError) as error:
            yield b"".join(map(encoded, [*untold, failure(str(error), 1)]))


def encoded(event: Message) -> bytes:
    """Encode a message as a line of the stream."""
    return msgspec.json.encode(event) + b"\r\n"


def failure(message: str, code: int) -> Message:
    """The last message of a build that has failed."""
    return {"errorDetail": {"code": code, "message": message}, "error": message}


def _options(request: Request) -> Options:
    query = request.query
    if query.flag("squash"):
        raise UnsupportedError("labkit does not support squash")
    if query.text("securityopt"):
        raise UnsupportedError("labkit does not support security options of a build")
    tags = [tag for tag in query.texts("t") if tag]
    for tag in tags:
        references.parse_tag(tag)  # a bad name must fail before the build, not after it
    platforms.parse(query.text("platform"))
    labels = json_of(query, "labels", dict[str, str]) or {}
    if "" in labels:
        raise InvalidParameterError(f"invalid label '={labels['']}': empty name")
    return Options(
        dockerfile=query.text("dockerfile") or "Dockerfile",
        dockerfile_path=query.text("dockerfilepath"),
        is_context_whole=bool(query.text("remote")),
        tags=tags,
        build_args=json_of(query, "buildargs", dict[str, str | None]) or {},
        labels=labels,
        target=query.text("target"),
        platform=query.text("platform"),
        no_cache=query.flag("nocache"),
        pull=query.flag("pull"),
        cache_from=json_of(query, "cachefrom", list[str]) or [],
        host_config=_host_config(query),
        explain=query.flag("explaincache"),
        secret=_secrets(request).get,
    )


def _host_config(query: Query) -> HostConfig:
    body: JsonObject = {field: query.text(name) for name, field in _TEXTS.items()}
    body |= {field: query.integer(name) for name, field in _NUMBERS.items()}
    if query.text("extrahosts"):
        body["ExtraHosts"] = query.texts("extrahosts")
    if query.text("ulimits"):
        body["Ulimits"] = json_of(query, "ulimits", list[object])
    given = {name: value for name, value in body.items() if value}
    refuse_not_yet(given)
    return convert(given, HostConfig, "HostConfig.")


def _secrets(request: Request) -> dict[str, bytes]:
    text = request.headers.get(SECRETS_HEADER)
    if not text:
        return {}
    try:
        return msgspec.json.decode(base64.b64decode(text), type=dict[str, bytes])
    except (*UNREADABLE, ValueError) as error:
        raise InvalidParameterError(f"the secrets cannot be read: {error}") from None
