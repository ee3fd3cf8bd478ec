"""The parts of BuildKit's service together: one for an engine."""

from collections.abc import Mapping

from labkit.buildkit.bridge import Bridge
from labkit.buildkit.control import Control
from labkit.buildkit.exporting import Exporters
from labkit.buildkit.frontend import RegistriesFor, Solve
from labkit.buildkit.jobs import Jobs
from labkit.buildkit.kept import Kept
from labkit.buildkit.messages import HealthCheckResponse
from labkit.buildkit.sessions import HEALTH, Client, Sessions
from labkit.buildkit.usage import Usage
from labkit.containers import Engine
from labkit.images.models import Platform
from labkit.rpc.calls import Served
from labkit.rpc.connection import Link
from labkit.rpc.serving import Server

SERVING = 1


class Service:
    """Serves an engine's build clients."""

    def __init__(
        self, engine: Engine, registries: RegistriesFor, machine: Platform, version: str
    ) -> None:
        self._sessions = Sessions()
        self.kept = Kept(f"{engine.paths.root}/build/contexts")
        self.jobs = Jobs()
        solve = Solve(engine, self._sessions, registries, self.kept, self.jobs)
        self.control = Control(
            self.jobs,
            sessions=self._sessions,
            solve=solve,
            exporters=Exporters(engine, self._sessions),
            usage=Usage(engine.paths, self.kept),
            worker=("labkit", machine, version),
        )
        bridge = Bridge(self.jobs, solve)
        self._handlers = {**self.control.handlers(), **bridge.handlers(), HEALTH: _healthy}

    def serve(self, link: Link) -> None:
        """Serve a client's calls until it disconnects."""
        Server(link, self._handlers).run()

    def session(self, uuid: str, timeout_s: float) -> Client:
        """Return a client by the id of its session.  CallError."""
        return self._sessions.wait(uuid, timeout_s)

    def check_session(self, headers: Mapping[str, list[str]]) -> None:
        """Raise InvalidParameterError or ConflictError for an invalid session."""
        self._sessions.check(headers)

    def serve_session(self, link: Link, headers: Mapping[str, list[str]]) -> None:
        """Hold a session until its client disconnects."""
        with self._sessions.holding(link, headers) as session:
            session.run()


def _healthy(call: Served) -> None:
    """`Health/Check`."""
    call.send(HealthCheckResponse(SERVING))
