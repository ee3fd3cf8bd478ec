"""The requests of a command, recorded while it runs: what the client says to the daemon.

    with record() as trace:
        %docker run --rm busybox echo hi
    trace.plot()

A socket of our own stands before labkitd's, in a temporary folder, and the environment names it
(`LABKIT_RUN` for labkit, `DOCKER_HOST` for the real `docker`); it hands everything on and listens.
Of the daemon's own requests to a registry the registry's log tells (`registry serve --log`).
"""

import contextlib
import json
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.course.architecture.wire import Exchange, Listener
from labkit.course.figures.table import Table
from labkit.paths import Paths

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

SETTLE_S = 5.0
POLL_S = 0.05
_HEX = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_VERSION = re.compile(r"^/v1\.\d+(?=/)")
_UPLOAD = re.compile(r"(?<=/uploads/)[^/]{12,}")


def route(target: str) -> str:
    """The path that was asked for: without query and version, ids cut to twelve digits.

    >>> route("/v1.43/containers/create?name=box")
    '/containers/create'
    """
    path = _VERSION.sub("", target.partition("?")[0])
    return _UPLOAD.sub("…", _HEX.sub(r"\1", path))


class Trace:
    """What was recorded, in the order in which it was asked."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    @property
    def lanes(self) -> tuple[str, ...]:
        """Who took part."""
        there = {lane for one in self.exchanges for lane in one.lanes}
        return tuple(lane for lane in ("client", "daemon", "registry") if lane in there)

    def requests(self, lane: str = "client") -> list[str]:
        """What `lane` asked for, as "POST /containers/create"."""
        return [
            f"{one.method} {route(one.target)}" for one in self.exchanges if one.lanes[0] == lane
        ]

    def table(self) -> Table:
        """A row for each request; times since the first."""
        zero_s = min((one.asked_s for one in self.exchanges), default=0.0)

        def moment(time_s: float) -> str:
            return f"{1000 * (time_s - zero_s):.1f}" if time_s else "–"

        return Table(
            (
                *("from → to", "request", "status", "asked at (ms)", "answered at (ms)"),
                *("over at (ms)", "sent (B)", "received (B)"),
            ),
            tuple(
                (
                    " → ".join(one.lanes),
                    f"{one.method} {route(one.target)}",
                    str(one.status or "–"),
                    *map(moment, (one.asked_s, one.answered_s, one.ended_s)),
                    str(one.sent_bytes),
                    str(one.received_bytes),
                )
                for one in self.exchanges
            ),
        )

    def plot(self, title: str = "") -> "Figure":
        """The requests and answers as arrows between those who took part, from top to bottom."""
        from labkit.course.architecture.trace_plot import draw  # noqa: PLC0415 matplotlib only for who draws

        return draw(self, title)

    def __repr__(self) -> str:
        return str(self.table())


@contextlib.contextmanager
def record(registry_log: str = "") -> Iterator[Trace]:
    """Record what this process and its children ask of labkitd; with what the daemon asks of a
    registry meanwhile, if that registry writes `registry_log`.
    """
    behind = Paths.from_environment().socket
    log_begin = os.path.getsize(registry_log) if registry_log else 0
    trace = Trace()
    with tempfile.TemporaryDirectory(prefix="labkit-trace-") as folder:
        socket_path = Paths("/", folder).socket
        with Door(socket_path, behind, trace.exchanges), _environment(folder, socket_path):
            yield trace
    if registry_log:
        trace.exchanges += from_log(_settled(registry_log)[log_begin:].decode())
    trace.exchanges.sort(key=lambda one: one.asked_s)


class Door:
    """A Unix socket at `path` that hands everything on to the one at `behind`, and listens."""

    def __init__(self, path: str, behind: str, exchanges: list[Exchange]) -> None:
        self._behind = behind
        self._exchanges = exchanges
        self._threads: list[threading.Thread] = []
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        self._socket.listen()

    def __enter__(self) -> "Door":
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Let in no more; let those end who are about to, and cut off who still is there then."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        deadline = time.monotonic() + SETTLE_S
        while any(not one.ended_s for one in self._exchanges) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):  # closed already
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # shut down
                return
            daemon = socket.socket(socket.AF_UNIX)
            try:
                daemon.connect(self._behind)
            except OSError:  # the client sees what it would have seen: nobody answers
                client.close()
                daemon.close()
                continue
            self._pairs.append((client, daemon))
            listener = Listener(client, daemon, self._exchanges)
            self._threads.append(threading.Thread(target=listener.run, daemon=True))
            self._threads[-1].start()


@contextlib.contextmanager
def _environment(run: str, socket_path: str) -> Iterator[None]:
    names = {"LABKIT_RUN": run, "DOCKER_HOST": f"unix://{socket_path}"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def from_log(text: str) -> list[Exchange]:
    """The exchanges that a registry's log tells of: a line is written when one is over."""
    lines = [json.loads(line) for line in text.splitlines()]
    return [
        Exchange(
            line["method"],
            line["target"],
            line["time"] - line["seconds"],
            ("daemon", "registry"),
            line["status"],
            line["time"],
            line["time"],
            line["received_bytes"],
            line["sent_bytes"],
        )
        for line in lines
    ]


def _settled(path: str) -> bytes:
    """The file, when nothing more is being added: a server writes the line after the answer."""
    before, text = b"", Path(path).read_bytes()
    deadline = time.monotonic() + SETTLE_S
    while before != text and time.monotonic() < deadline:
        time.sleep(2 * POLL_S)
        before, text = text, Path(path).read_bytes()
    return text
