"""Demo 02: the requests between client, daemon and registry when a command is given."""

import subprocess
import sys

from labkit.course.architecture.trace import record, route
from labkit.course.architecture.wire import Exchange
from labkit.course.demos.canvas import CRIMSON, NAVY, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Press
from labkit.course.demos.demo import Demo
from labkit.course.images.hub import Hub
from labkit.errors import LabkitError

LANES = {"client": 86.0, "daemon": 450.0, "registry": 814.0}
INK = {"client": NAVY, "daemon": TEAL, "registry": CRIMSON}
TOP, HIGH, MOST = 112.0, 390.0, 11
ARROW_S = 0.2


class TalkDemo(Demo):
    """Each arrow is one HTTP request as it was recorded on its socket."""

    number = "02"
    title = "Client, daemon and registry"
    say = "Every docker command is HTTP to the daemon; push and pull make the daemon a client too."
    surprise = "The client never talks to the registry, and the second push sends no layer at all."
    controls = (
        Press("ps", "docker ps"),
        Press("run", "docker run --rm busybox true"),
        Press("push", "docker push"),
        Press("pull", "docker rmi, then docker pull"),
    )

    def begin(self) -> None:
        """Start a registry, and give busybox a name in it."""
        self._hub = Hub()
        self.keep(self._hub.close)
        self._name = f"{self._hub.address}/busybox"
        self.client.images.tag("busybox", self._name)
        self.keep(self._forget)
        self._shown: list[Exchange] = []
        self._command = ""

    def act(self, key: str) -> None:
        """Run the command, and show what was said, one arrow after the other."""
        words = {
            "ps": ["ps"],
            "run": ["run", "--rm", *self._labels(), "busybox", "true"],
            "push": ["push", self._name],
            "pull": ["pull", self._name],
        }[key]
        if key == "pull":
            self._forget()
        shown = " ".join(
            word for word in words if "labkit.course" not in word and word != "--label"
        )
        self._command, self._shown = f"docker {shown}", []
        self.pause(0)
        with record(self._hub.log) as trace:
            done = subprocess.run(
                [sys.executable, "-m", "labkit.cli", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        for exchange in trace.exchanges:
            self._shown.append(exchange)
            self.pause(ARROW_S)
        if done.returncode:
            raise LabkitError(done.stderr.strip())

    def draw(self) -> Canvas:
        """Three lanes; a row for each request, with its answer's status."""
        said = [f"{' to '.join(one.lanes)}: {_words(one)}" for one in self._shown]
        canvas = Canvas(f"{self._command or 'Nothing yet'}. {'; '.join(said)}")
        canvas.words((450, 30), self._command or "press a command", anchor="middle", code=True)
        for lane, x in LANES.items():
            canvas.line((x, 84), (x, 516), ink=QUIET, thick=2)
            canvas.box((x - 85, 44), (170, 40), lane, face=INK[lane])
        row_high = min(64.0, HIGH / max(1, len(self._shown[-MOST:]) - 1))
        for row, one in enumerate(self._shown[-MOST:]):
            asks, answers = (LANES[lane] for lane in one.lanes)
            y = TOP + row_high * row + 24
            canvas.arrow((asks, y), (answers, y), ink=INK[one.lanes[0]], thick=2)
            canvas.words(
                ((asks + answers) / 2, y - 6),
                _words(one),
                anchor="middle",
                ink=INK[one.lanes[0]],
            )
        if len(self._shown) > MOST:
            canvas.words((880, 516), f"+ {len(self._shown) - MOST}", anchor="end", ink=QUIET)
        return canvas

    def _labels(self) -> list[str]:
        """So that a container that is left by a killed kernel is found."""
        return [word for pair in self.crew.labels.items() for word in ("--label", "=".join(pair))]

    def _forget(self) -> None:
        tags = {tag for image in self.client.images.list() for tag in image.tags}
        if f"{self._name}:latest" in tags:
            self.client.images.remove(self._name)


def _words(one: Exchange) -> str:
    """A request in a few words: its verb, the end of its path, its status or size."""
    path = route(one.target).removeprefix("/v2/busybox")
    size = max(one.sent_bytes, one.received_bytes)
    end = f"{size / 1e6:.1f} MB" if size > 100_000 else one.status or ""
    return f"{one.method} {_short(path)} {end}"


def _short(path: str) -> str:
    return "/".join("…" if len(part) >= 12 else part for part in path.split("/"))
