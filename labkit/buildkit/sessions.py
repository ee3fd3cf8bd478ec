"""Sessions: the connections on which the daemon calls a client (`POST /session`).

The client sends in the request's headers its id (a random one, which its builds name) and the
methods that it serves.  A session that does not answer is closed, and every call on it ends.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from labkit.buildkit.messages import Empty, HealthCheckResponse
from labkit.errors import ConflictError, InvalidParameterError
from labkit.rpc import calls
from labkit.rpc.calls import Made, Metadata
from labkit.rpc.connection import Connection, Link
from labkit.rpc.errors import UNAVAILABLE, UNIMPLEMENTED, CallError

HEADER = "x-docker-expose-session-"
HEALTH = "/grpc.health.v1.Health/Check"
HEALTH_PAUSE_S = 5.0
HEALTH_TIMEOUT_S = 15.0
HEALTH_FAILURES = 2
"""After so many failures the session is closed (buildkit's session/manager.go)."""
SESSIONS_MAX = 1000


class Client(Protocol):
    """A client that can be called."""

    @property
    def shared_key(self) -> str:
        """The same for each build of a folder by a user; empty if there is none."""

    def call(self, path: str, metadata: Metadata) -> Made:
        """Begin a call.  CallError, also for a method that the client does not serve."""

    def on_close(self, action: Callable[[], None]) -> None:
        """Do something when the client has gone."""


class NoSession:
    """A client that cannot be called: it sends all at once."""

    shared_key = ""

    def call(self, path: str, metadata: Metadata) -> Made:
        """Raise CallError."""
        raise CallError(UNIMPLEMENTED, f"the build has no session: {path} cannot be called")

    def on_close(self, action: Callable[[], None]) -> None:
        """It never goes."""


class Session:
    """One client, as the daemon sees it."""

    def __init__(self, link: Link, headers: Mapping[str, list[str]]) -> None:
        """Read the headers, whose names are in lower case; InvalidParameterError."""
        self.uuid = _uuid(headers)
        self.shared_key = calls.first(headers, f"{HEADER}sharedkey")
        """The same for each build of a folder by a user."""
        self.methods = frozenset(headers.get(f"{HEADER}grpc-method", []))
        self._connection = Connection(link, is_client=True)
        self._actions: list[Callable[[], None]] = []

    @property
    def is_closed(self) -> bool:
        """Whether the client has disconnected."""
        return self._connection.is_closed

    def call(self, path: str, metadata: Metadata) -> Made:
        """Begin a call.  CallError, also for a method that the client has not announced."""
        if path not in self.methods:
            raise CallError(
                UNIMPLEMENTED, f"the build client does not offer {path}: a newer client may"
            )
        return calls.call(self._connection, path, metadata)

    def on_close(self, action: Callable[[], None]) -> None:
        """Do something when the client has gone; at once if it has."""
        self._actions.append(action)
        if self.is_closed:
            action()

    def run(self) -> None:
        """Hold the connection until it ends."""
        if HEALTH in self.methods:
            threading.Thread(target=self._watch, name="session health", daemon=True).start()
        self._connection.run()
        for action in list(self._actions):
            action()

    def _watch(self) -> None:
        failures = 0
        while failures < HEALTH_FAILURES:
            with suppress(TimeoutError):
                self._connection.wait(lambda: self.is_closed, HEALTH_PAUSE_S)
            if self.is_closed:
                return
            try:
                calls.ask(self, HEALTH, Empty(), HealthCheckResponse, HEALTH_TIMEOUT_S)
                failures = 0
            except CallError:
                failures += 1
        self.close()

    def close(self) -> None:
        """Close the session."""
        self._connection.close()


class Sessions:
    """The present sessions, by their ids."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._by_id: dict[str, Session] = {}

    def check(self, headers: Mapping[str, list[str]]) -> None:
        """Raise ConflictError if the session's id is taken, InvalidParameterError without one."""
        uuid = _uuid(headers)
        with self._changed:
            if uuid in self._by_id:
                raise ConflictError(f"session {uuid} already exists")
            if len(self._by_id) >= SESSIONS_MAX:
                raise ConflictError(f"there are {SESSIONS_MAX} sessions already")

    @contextmanager
    def holding(self, link: Link, headers: Mapping[str, list[str]]) -> Iterator[Session]:
        """A session during the block, which the caller runs.

        ConflictError if its id is taken, InvalidParameterError.
        """
        session = Session(link, headers)
        with self._changed:
            self.check(headers)
            self._by_id[session.uuid] = session
            self._changed.notify_all()
        try:
            yield session
        finally:
            session.close()
            with self._changed:
                del self._by_id[session.uuid]
                self._changed.notify_all()

    def wait(
        self, uuid: str, timeout_s: float, is_cancelled: Callable[[], bool] = lambda: False
    ) -> Client:
        """Return the session of an id: the build that names it may be faster.  CallError."""
        if not uuid:
            return NoSession()
        with self._changed:
            self._changed.wait_for(lambda: uuid in self._by_id or is_cancelled(), timeout_s)
            found = self._by_id.get(uuid)
        if found is None:
            raise CallError(UNAVAILABLE, f"no active session for {uuid}: context deadline exceeded")
        return found


def _uuid(headers: Mapping[str, list[str]]) -> str:
    uuid = calls.first(headers, f"{HEADER}uuid")
    if not uuid:
        raise InvalidParameterError("a session needs an id: X-Docker-Expose-Session-Uuid")
    return uuid
