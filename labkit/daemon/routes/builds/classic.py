"""Building images: Docker's classic `POST /build`, a stream of JSON messages."""

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
from labkit.containers import Engine
from labkit.daemon.requests import Request
from labkit.daemon.responses import Answer, Stream
from labkit.daemon.routes import registries
from labkit.daemon.routes.builds import parameters
from labkit.daemon.routes.builds.access import Registries
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.daemon.routes.builds.session import Beside

SESSION_PARAMETERS = ("session", "contexts", "cacheto", "cacheimports")
"""Those that need more than the classic builder: `labkit.daemon.routes.builds.session`."""


def build(engine: Engine, request: Request) -> Answer:
    """`POST /build?t=&dockerfile=&buildargs=&…`: the body is the context, a tar archive.

    An error in the request or the Dockerfile has its own HTTP status.  An error during the build is
    the last message of the stream (`errorDetail`).
    """
    options = parameters.options(request)
    with contextlib.ExitStack() as stack:
        workroom = Workroom(engine.paths, engine.parts.snapshots)
        stack.callback(workroom.close)
        context = _context(request, options, workroom)
        stack.callback(context.close)
        access = Registries(engine, registries.from_build_request(request))
        sent = Sent(context, options)
        contexts: Contexts = sent
        beside: Beside | None = None
        if any(map(request.query.text, SESSION_PARAMETERS)):
            from labkit.daemon.routes.builds import session  # noqa: PLC0415 seldom needed

            beside = session.beside(
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
