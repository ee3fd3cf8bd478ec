"""Recording a command's requests: everything that the client asks the daemon.

    with record() as trace:
        %docker run --rm busybox echo hi
    trace.plot()

A socket in a temporary folder takes the place of labkitd's, and the environment names it
(`LABKIT_RUN` for labkit, `DOCKER_HOST` for the real `docker`).  It forwards everything and records
it.  The daemon's own requests to a registry come from the registry's log (`registry serve --log`).
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.course.architecture.wire import Exchange, Listener
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.scratch import scratch
from labkit.paths import Paths

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

SETTLE_S = 5.0
POLL_S = 0.05
_HEX = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
_VERSION = re.compile(r"^/v1\.\d+(?=/)")
_UPLOAD = re.compile(r"(?<=/uploads/)[^/]{12,}")


def route(target: str) -> str:
    """The path of a request, without query and version, with ids cut to twelve digits.

    >>> route("/v1.43/containers/create?name=box")
    '/containers/create'
    """
    path = _VERSION.sub("", target.partition("?")[0])
    return _UPLOAD.sub("…", _HEX.sub(r"\1", path))


class Trace:
    """The recorded exchanges, in the order of their requests."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    @property
    def lanes(self) -> tuple[str, ...]:
        """The participants: client, daemon, registry."""
        there = {lane for one in self.exchanges for lane in one.lanes}
        return tuple(lane for lane in ("client", "daemon", "registry") if lane in there)

    def requests(self, lane: str = "client") -> list[str]:
        """The requests of `lane`, such as "POST /containers/create"."""
        return [
            f"{one.method} {route(one.target)}" for one in self.exchanges if one.lanes[0] == lane
        ]

    def table(self) -> Table:
        """A row for each request; times are relative to the first."""
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
        """Draw requests and answers as arrows between the participants, from top to bottom."""
        return draw(self, title)

    def __repr__(self) -> str:
        return str(self.table())


@contextlib.contextmanager
def record(registry_log: str = "") -> Iterator[Trace]:
    """Record the requests of this process and its children to labkitd during the block.

    The daemon's requests to a registry are recorded too, if the registry writes `registry_log`.
    """
    behind = Paths.from_environment().socket
    log_begin = os.path.getsize(registry_log) if registry_log else 0
    trace = Trace()
    with scratch("trace") as folder:
        socket_path = Paths("/", folder).socket
        with Door(socket_path, behind, trace.exchanges), _environment(folder, socket_path):
            yield trace
    if registry_log:
        trace.exchanges += from_log(_settled(registry_log)[log_begin:].decode())
    trace.exchanges.sort(key=lambda one: one.asked_s)


class Door:
    """A Unix socket at `path` that forwards everything to the one at `behind`, and records it."""

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
        """Accept no more connections, wait for the open ones, then cut off those that remain."""
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
            except OSError:  # the socket was shut down
                return
            daemon = socket.socket(socket.AF_UNIX)
            try:
                daemon.connect(self._behind)
            except OSError:  # as without this socket, the client gets no answer
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
    """The exchanges in a registry's log, which has a line for each, written at its end."""
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
    """The file when it no longer grows: a server writes the line after the answer."""
    before, text = b"", Path(path).read_bytes()
    deadline = time.monotonic() + SETTLE_S
    while before != text and time.monotonic() < deadline:
        time.sleep(2 * POLL_S)
        before, text = text, Path(path).read_bytes()
    return text


# The drawing of a trace: a lane for each participant, an arrow for each request and answer.
#
# The order is that of time, from top to bottom, but distances do not show time: half of all
# exchanges happen within a few milliseconds.  The times are at the left.


ROW_IN = 0.235
LEFT = 0.11
"""The place of the first lane; the times are left of it.  The figure has the width 1."""
MAXIMUM_CHARACTERS = {2: 74, 3: 45}
COLOURS = {"client": 0, "daemon": 1, "registry": 2}
SWITCHED = 101


class Arrow(NamedTuple):
    """One arrow of the picture, at its time; the arrow of an answer is dashed."""

    time_s: float
    start: str
    end: str
    words: str
    is_reply: bool


def arrows(trace: "Trace") -> list[Arrow]:
    """Every arrow, in the order of time.

    An answer whose body continues during other exchanges has a second arrow, for its end.
    """
    found = []
    others = sorted(one.asked_s for one in trace.exchanges)
    for one, asked in zip(trace.exchanges, trace_words(trace), strict=True):
        asks, answers = one.lanes
        found.append(Arrow(one.asked_s, asks, answers, asked, False))
        if not one.status:
            continue
        goes_on = one.status == SWITCHED or any(
            one.answered_s < other < one.ended_s for other in others
        )
        said = f"{one.status}{', and stays open' if goes_on else ''}"
        found.append(Arrow(one.answered_s, answers, asks, said, True))
        if goes_on:
            last = asked.rpartition("/")[2]
            end = f"end of {last}: {one.received_bytes} B"
            found.append(Arrow(one.ended_s or one.answered_s, answers, asks, end, True))
    return sorted(found, key=lambda arrow: arrow.time_s)


def trace_words(trace: "Trace") -> list[str]:
    """The text for each request's arrow, in the trace's order."""
    asked = {lane: iter(trace.requests(lane)) for lane in trace.lanes}
    return [next(asked[one.lanes[0]]) for one in trace.exchanges]


def draw(trace: "Trace", title: str) -> Figure:
    """Draw the whole picture."""
    rows = arrows(trace)
    lanes = trace.lanes or ("client", "daemon")
    places = {
        lane: LEFT + (0.95 - LEFT) * number / (len(lanes) - 1) for number, lane in enumerate(lanes)
    }
    took_ms = 1000 * (rows[-1].time_s - rows[0].time_s) if rows else 0.0
    with style.picture(height_in=1.0 + ROW_IN * len(rows)) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, 1), ylim=(len(rows) + 0.2, -1.4))
        axes.set_axis_off()
        for lane, place in places.items():
            _lane(axes, lane, place, len(rows))
        for number, arrow in enumerate(rows):
            _arrow(axes, arrow, places, number)
            since_ms = 1000 * (arrow.time_s - rows[0].time_s)
            axes.text(0.075, number, f"{since_ms:.1f}", ha="right", va="center", **_quiet(8))
        axes.text(0.075, -1, "ms", ha="right", va="center", **_quiet(8))
        asked = len(trace.exchanges)
        style.headline(drawing, title or f"{asked} requests in {took_ms:.0f} ms")
    return Figure(drawing, alt=_alt(trace, took_ms), table=trace.table())


def _quiet(size: float) -> dict[str, Any]:
    return {"fontsize": size, "color": style.QUIET}


def _lane(axes: Any, lane: str, place: float, rows: int) -> None:
    tone = style.colour(COLOURS[lane])
    axes.plot([place, place], [-0.7, rows], color=tone, linewidth=2.2, solid_capstyle="round")
    axes.text(place, -1, lane, ha="center", va="center", fontweight="bold", color=tone)


def _arrow(axes: Any, arrow: Arrow, places: dict[str, float], row: int) -> None:
    start, end = places[arrow.start], places[arrow.end]
    axes.annotate(
        "",
        (end, row),
        (start, row),
        arrowprops={
            "arrowstyle": "-|>",
            "color": style.QUIET if arrow.is_reply else style.colour(COLOURS[arrow.start]),
            "linestyle": "dashed" if arrow.is_reply else "solid",
            "linewidth": 1.1,
            "shrinkA": 2,
            "shrinkB": 1,
        },
    )
    axes.text(
        (start + end) / 2,
        row,
        _cut(arrow.words, MAXIMUM_CHARACTERS[len(places)]),
        ha="center",
        va="center",
        fontsize=8,
        fontfamily="DejaVu Sans" if arrow.is_reply else "DejaVu Sans Mono",
        color=style.QUIET if arrow.is_reply else style.readable(COLOURS[arrow.start]),
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )


def _cut(words: str, maximum: int) -> str:
    """Cut in the middle, since the beginning and the end of a path say most."""
    if len(words) <= maximum:
        return words
    half = (maximum - 1) // 2
    return f"{words[:half]}…{words[-half:]}"


def _alt(trace: "Trace", took_ms: float) -> str:
    told = "; ".join(
        f"{one.lanes[0]} to {one.lanes[1]}: {words} → {one.status or 'no answer'}"
        for one, words in zip(trace.exchanges, trace_words(trace), strict=True)
    )
    return (
        f"Arrows between {', '.join(trace.lanes)}, in the order of time, {took_ms:.0f} ms in all. "
        f"{told or 'Nothing was asked'}."
    )
