"""Events of a build for its followers: steps, their parts, their output, warnings.

Each follower gets everything, in as few messages as it can read: unread events are kept as the
latest state of each step and part, so that a client that does not read costs little.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from labkit.buildkit.messages import (
    StatusResponse,
    Timestamp,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
)

LOG_MAX_BYTES = 2 << 20
"""The most output of one step, as in BuildKit."""
KEPT_LOG_MAX_BYTES = 16 << 20
"""The most output of all steps, while no follower reads it."""
LOG_PIECE_BYTES = 64 << 10
MESSAGE_LOGS = 32
PARTS_MAX = 2000
LOOK_S = 0.5
"""How often a follower without events is checked for its presence."""


def now() -> Timestamp:
    """Return the present time."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return Timestamp(seconds, nanos)


class Counts(NamedTuple):
    """The steps of a build, and its warnings."""

    steps: int
    completed: int
    cached: int
    warnings: int


class Progress:
    """The events of one build; several threads may use it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._vertexes: dict[str, Vertex] = {}
        self._statuses: dict[tuple[str, str], VertexStatus] = {}
        self._logs: list[VertexLog] = []
        self._log_bytes: dict[str, int] = {}
        self._kept_bytes = 0
        self._warnings: list[VertexWarning] = []
        self._followers: list[_Follower] = []
        self._is_over = False

    # Events

    def vertex(self, vertex: Vertex) -> None:
        """Note a step in its present state."""
        with self._changed:
            self._vertexes[vertex.digest] = vertex
            for follower in self._followers:
                follower.vertexes[vertex.digest] = vertex
            self._changed.notify_all()

    def status(self, status: VertexStatus) -> None:
        """Note a part of a step in its present state."""
        key = status.vertex, status.id
        with self._changed:
            if key not in self._statuses and len(self._statuses) >= PARTS_MAX:
                return
            self._statuses[key] = status
            for follower in self._followers:
                follower.statuses[key] = status
            self._changed.notify_all()

    def log(self, vertex: str, stream: int, data: bytes) -> None:
        """Note output of a step; more than `LOG_MAX_BYTES` of it are left out."""
        with self._changed:
            before = self._log_bytes.get(vertex, 0)
            self._log_bytes[vertex] = before + len(data)
            if before > LOG_MAX_BYTES or self._kept_bytes > KEPT_LOG_MAX_BYTES:
                return
            if before + len(data) > LOG_MAX_BYTES:
                data = b"[output clipped, log limit 2MiB reached]\n"
                self._log_bytes[vertex] = LOG_MAX_BYTES + 1
            self._kept_bytes += len(data)
            for at in range(0, len(data), LOG_PIECE_BYTES):
                self._logs.append(VertexLog(vertex, now(), stream, data[at : at + LOG_PIECE_BYTES]))
            self._changed.notify_all()

    def warn(self, warning: VertexWarning) -> None:
        """Note a warning that the client lists after the build."""
        with self._changed:
            self._warnings.append(warning)
            self._changed.notify_all()

    def close(self) -> None:
        """End the events."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    # The build as a whole

    def counts(self) -> Counts:
        """Count the steps."""
        with self._changed:
            steps = list(self._vertexes.values())
            completed = sum(step.completed is not None for step in steps)
            cached = sum(step.cached for step in steps)
            return Counts(len(steps), completed, cached, len(self._warnings))

    @property
    def log_bytes(self) -> int:
        """The size of the kept output."""
        return self._kept_bytes

    # Followers

    def follow(self, is_gone: Callable[[], bool] = lambda: False) -> Iterator[StatusResponse]:
        """Yield all events, past and future, to the end, or until the follower `is_gone`."""
        with self._changed:
            follower = _Follower(dict(self._vertexes), dict(self._statuses))
            self._followers.append(follower)
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._has_news(follower) or self._is_over, LOOK_S
                    )
                    news = self._news(follower)
                    is_over = news is None and self._is_over
                if is_over or is_gone():
                    return
                if news is not None:
                    yield news
        finally:
            with self._changed:
                self._followers.remove(follower)

    def _has_news(self, follower: "_Follower") -> bool:
        return (
            bool(follower.vertexes or follower.statuses)
            or follower.logs < len(self._logs)
            or follower.warnings < len(self._warnings)
        )

    def _news(self, follower: "_Follower") -> StatusResponse | None:
        if not self._has_news(follower):
            return None
        logs = self._logs[follower.logs : follower.logs + MESSAGE_LOGS]
        news = StatusResponse(
            list(follower.vertexes.values()),
            list(follower.statuses.values()),
            logs,
            self._warnings[follower.warnings :],
        )
        follower.vertexes, follower.statuses = {}, {}
        follower.logs += len(logs)
        follower.warnings = len(self._warnings)
        return news


class _Follower:
    """The events that one follower has not read yet."""

    def __init__(
        self, vertexes: dict[str, Vertex], statuses: dict[tuple[str, str], VertexStatus]
    ) -> None:
        self.vertexes = vertexes
        self.statuses = statuses
        self.logs = 0
        self.warnings = 0
