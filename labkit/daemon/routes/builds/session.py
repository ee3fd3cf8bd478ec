"""A classic build that also has a session: named contexts, SSH agents, caches.

labkit's own command sends its context as an archive, with the parameters `session` (the session's
id), `contexts` (names and their meanings), `cacheimports` and `cacheto`, whose entries are as in
BuildKit's protocol: `{"Type": "local", "Attrs": {…}}`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import NamedTuple

from labkit.build.builder import Build
from labkit.build.context.contexts import Sent
from labkit.build.options import Message, Options
from labkit.build.workroom import Workroom
from labkit.buildkit.agents import SessionAgents
from labkit.buildkit.caches import caching
from labkit.buildkit.contexts import NamedBeside, SessionContexts
from labkit.buildkit.messages import CacheEntry
from labkit.buildkit.progress import Progress
from labkit.buildkit.sessions import Client
from labkit.buildkit.vertices import Vertices
from labkit.containers import Engine
from labkit.daemon.requests import Request
from labkit.daemon.routes.builds.access import Registries
from labkit.daemon.routes.builds.parameters import json_of
from labkit.daemon.routes.builds.service import service

SESSION_TIMEOUT_S = 5.0


class Beside(NamedTuple):
    """The parts of a build that its session serves."""

    options: Options
    contexts: NamedBeside
    exports: list[CacheEntry]
    session: Client
    vertices: Vertices

    def export(self, build: Build) -> Iterator[Message]:
        """Write the caches of a finished build; yield messages of the classic stream."""
        if not self.exports:
            return
        yield {"stream": "exporting the cache\n"}
        image = build.engine.images.resolve(build.image_id)
        said = caching.export(self.exports, build, image, self.session, self.vertices)
        yield {"aux": {"CacheManifest": said.get("cache.manifest", "")}}


def beside(
    engine: Engine,
    request: Request,
    sent: Sent,
    registries: Registries,
    *,
    options: Options,
    workroom: Workroom,
    stack: ExitStack,
) -> Beside:
    """Return the parts of a build that its session serves.  CallError, InvalidParameterError."""
    found = service(engine)
    session = found.session(request.query.text("session"), SESSION_TIMEOUT_S)
    vertices = Vertices(Progress(), "")
    meanings: Mapping[str, str] = json_of(request.query, "contexts", dict[str, str]) or {}
    named = SessionContexts(
        {f"context:{name}": meaning for name, meaning in meanings.items()},
        session,
        sent=None,
        shared={},
        inputs=lambda _: "",
        kept=found.kept,
        workroom=workroom,
        vertices=vertices,
        stack=stack,
    )
    imports = {"cache-imports": request.query.text("cacheimports") or "[]"}
    caches = caching.Importer(engine, session, registries, vertices).find(imports, workroom)
    entries = json_of(request.query, "cacheto", list[caching.Named]) or []
    exports = [CacheEntry(each.type, each.attrs) for each in entries]
    caching.check(exports)
    options = options._replace(
        agents=SessionAgents(session),
        cache_from=[*options.cache_from, *caches.images],
        portable_caches=caches.portable,
    )
    return Beside(options, NamedBeside(sent, named), exports, session, vertices)
