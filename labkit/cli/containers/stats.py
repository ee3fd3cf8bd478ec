"""`labkit stats`: the resources that containers use, live."""

import json
import select
import sys
import time

from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.cli.show.formats import FORMAT, Row, render
from labkit.cli.show.table import short_id
from labkit.cli.show.usage import HEADINGS, UNKNOWN, usage
from labkit.client.api import Api, container_path
from labkit.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] [CONTAINER...]",
    (
        Flag("all", "a", "bool", "Show all containers, not only the running ones"),
        FORMAT,
        Flag("no-stream", "", "bool", "Show one table, and exit"),
        Flag("no-trunc", "", "bool", "Show IDs in full"),
    ),
)
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
INTERVAL_S = 1.0
PATIENCE_S = 3.0
HOME, CLEAR_LINE, CLEAR_REST, CLEAR = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[H\x1b[2J"


class Meter:
    """The engine's measurements of one container."""

    def __init__(self, api: Api, container_id: str, name: str) -> None:
        self.id = container_id
        self.name = name
        self.latest: dict[str, Any] = {}
        self.samples = 0
        self.ended = False
        self._response = api.stream("GET", f"{container_path(container_id)}/stats", stream=True)
        self._unfinished = b""

        self.read_received()

    def fileno(self) -> int:
        """The descriptor for poll(2): readable when a measurement arrives."""
        return self._response.fileno()

    def read(self) -> None:
        """Read a piece that has arrived, and the rest received with it."""
        self._read_piece()
        self.read_received()

    def read_received(self) -> None:
        """Read what has been received already."""
        while self._response.has_received and not self.ended:
            self._read_piece()

    def _read_piece(self) -> None:
        piece = next(iter(self._response), None)
        if piece is None:
            self.ended = True
            return
        *lines, self._unfinished = (self._unfinished + piece).split(b"\n")
        for line in filter(bytes.strip, lines):
            self.latest = json.loads(line)
            self.samples += 1

    def close(self) -> None:
        """Stop measuring."""
        self._response.close()

    def row(self, full: bool) -> Row:
        """Return the resources it uses."""
        fields = usage(self.latest) if self.latest else dict.fromkeys(HEADINGS, UNKNOWN)
        named = {"ID": short_id(self.id, full), "Name": self.name, "Container": self.name}
        return Row(fields | named)


class Meters:
    """The containers to show: the named ones, or all that exist."""

    def __init__(self, api: Api, names: list[str], *, every: bool) -> None:
        self._api = api
        self._names = names
        self._every = every
        self._by_id: dict[str, Meter] = {}
        self.look()

    def look(self) -> None:
        """Start measuring new containers, and drop removed ones."""
        rows = self._api.get("/containers/json", all=self._every or bool(self._names))
        there = {row["Id"]: row["Names"][0].removeprefix("/") for row in rows}
        if self._names:
            # A name that is unknown at first is a mistake; one that vanishes later has ended.
            ids = [self._id(name) for name in self._names] if not self._by_id else self._by_id
            there = {each: there[each] for each in ids if each in there}
        for gone in [each for each, meter in self._by_id.items() if each not in there]:
            self._by_id.pop(gone).close()
        for container_id, name in there.items():
            if container_id not in self._by_id:
                try:
                    self._by_id[container_id] = Meter(self._api, container_id, name)
                except NotFoundError:
                    continue  # removed since the list was made

    def _id(self, name: str) -> str:
        return str(self._api.get(f"{container_path(name)}/json")["Id"])

    def wait(self, until_s: float, samples: int) -> None:
        """Read measurements until that time, or until each container has so many."""
        while True:
            waiting = [meter for meter in self.all() if not meter.ended]
            left_s = until_s - time.monotonic()
            if left_s <= 0 or all(meter.samples >= samples for meter in waiting):
                return
            poll = select.poll()
            for meter in waiting:
                poll.register(meter.fileno(), select.POLLIN)
            ready = {fd for fd, _ in poll.poll(left_s * 1000)}
            for meter in waiting:
                if meter.fileno() in ready:
                    meter.read()

    def all(self) -> list[Meter]:
        """Return the meters in the order of the list of containers."""
        return list(self._by_id.values())

    def render(self, form: str, full: bool) -> str:
        """Return the measurements in the format."""
        return render(form, HEADINGS, COLUMNS, [meter.row(full) for meter in self.all()])


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Draw a table every second until ctrl-C; with `--no-stream` draw one."""
    meters = Meters(context.api(), arguments, every=options["all"])
    form, full = options["format"], options["no_trunc"]
    if options["no_stream"]:
        # The share of a CPU is known after two measurements.
        meters.wait(time.monotonic() + PATIENCE_S, samples=2)
        sys.stdout.write(meters.render(form, full))
        return 0
    terminal = sys.stdout.isatty()
    if terminal:
        sys.stdout.write(CLEAR)
    try:
        while True:
            _draw(meters.render(form, full), terminal)
            meters.wait(time.monotonic() + INTERVAL_S, samples=sys.maxsize)
            meters.look()
    except KeyboardInterrupt:
        return 0  # the only way to end it


def _draw(text: str, terminal: bool) -> None:
    if terminal:
        text = HOME + text.replace("\n", f"{CLEAR_LINE}\n") + CLEAR_REST
    sys.stdout.write(text)
    sys.stdout.flush()
