"""Demo 08: a container's life as a token that walks from state to state."""

import itertools

from labkit.client.containers import Container
from labkit.course.demos.canvas import AMBER, CALM, CRIMSON, INK, QUIET, Canvas, Point
from labkit.course.demos.controls import Press
from labkit.course.demos.demo import Demo
from labkit.course.lifecycle.life import GONE, Arrow
from labkit.errors import ConflictError, LabkitError, NotFoundError, NotModifiedError

BOXES: dict[str, Point] = {
    GONE: (78, 250),
    "created": (310, 250),
    "running": (550, 250),
    "paused": (550, 70),
    "exited": (815, 250),
}
SIZE = (150.0, 62.0)
WORDS: dict[tuple[str, str, str], tuple[Point, str]] = {
    (GONE, "create", "created"): ((192, 235), "middle"),
    ("created", "start", "running"): ((430, 235), "middle"),
    ("running", "pause", "paused"): ((522, 170), "end"),
    ("paused", "unpause", "running"): ((578, 170), "start"),
    ("running", "stop", "exited"): ((682, 222), "middle"),
    ("running", "kill", "exited"): ((682, 292), "middle"),
    ("exited", "start", "running"): ((670, 350), "middle"),
    ("exited", "remove", GONE): ((430, 430), "middle"),
}
"""The arrows that are drawn, each with the place of its words and how they are set."""
LINES: dict[tuple[str, str], tuple[Point, ...]] = {
    (GONE, "create"): ((153, 250), (235, 250)),
    ("created", "start"): ((385, 250), (475, 250)),
    ("running", "pause"): ((535, 219), (535, 101)),
    ("paused", "unpause"): ((565, 101), (565, 219)),
    ("running", "stop"): ((625, 235), (740, 235)),
    ("running", "kill"): ((625, 265), (740, 265)),
    ("exited", "start"): ((790, 281), (790, 362), (550, 362), (550, 281)),
    ("exited", "remove"): ((840, 281), (840, 442), (75, 442), (75, 281)),
}
TAKES_S = 0.25
"""How long the token is on its way."""
EVENTS = {"rm": "remove"}
COMMANDS = ("create", "start", "pause", "unpause", "stop", "kill", "rm")


class StatesDemo(Demo):
    """Each button is a docker command for one container; the token is where the engine says."""

    number = "08"
    title = "A container's life"
    say = "Each button is one docker command; the token is where the engine says."
    surprise = "rm is refused while it runs, and unpause unless it is paused: commands have places."
    controls = tuple(Press(command, f"docker {command}") for command in COMMANDS)

    def begin(self) -> None:
        """Nothing exists yet."""
        self._box: Container | None = None
        self._way: list[Arrow] = []
        self._token: Point = BOXES[GONE]

    @property
    def state(self) -> str:
        """Return the container's state; GONE before create and after rm."""
        return self._way[-1].after if self._way else GONE

    def act(self, key: str) -> None:
        """Give the command; if the engine takes it, the token goes where the engine says."""
        try:
            self._command(key)
        except NotModifiedError:
            self.note = f"docker {key} changes nothing: it is {self.state}"
            return
        except LabkitError as error:
            self.note = f"docker {key} is refused: {error}"
            return
        arrow = Arrow(self.state, EVENTS.get(key, key), self._now())
        self._way.append(arrow)
        self._walk(LINES.get(arrow[:2], (BOXES[arrow.before], BOXES[arrow.after])))
        self._token = BOXES[arrow.after]

    def draw(self) -> Canvas:
        """The states, what leads from one to another, the way so far, and the token."""
        state, gone = self.state, {arrow[:2] for arrow in self._way}
        canvas = Canvas(
            f"The states of a container and the commands between them. It is {state or 'not there'}"
            f" now; its way: {', '.join(arrow.event for arrow in self._way) or 'none yet'}."
        )
        for arrow, (at, anchor) in WORDS.items():
            ink = CRIMSON if arrow[:2] in gone else QUIET
            points = LINES[arrow[:2]]
            canvas.curve(points[:-1], ink=ink, thick=3)
            canvas.arrow(points[-2], points[-1], ink=ink, thick=3)
            words = "rm" if arrow[1] == "remove" else arrow[1]
            canvas.words(at, words, anchor=anchor, ink=ink, bold=arrow[:2] in gone)
        for name, (x, y) in BOXES.items():
            corner = (x - SIZE[0] / 2, y - SIZE[1] / 2)
            lit = name == state
            face, edge = ("#F7E9EE", CRIMSON) if lit else (CALM, QUIET)
            canvas.box(
                corner, SIZE, name or "nothing", face=face, edge=edge, thick=3 if lit else 1.5
            )
        x, y = self._token
        canvas.disc((x, y - 31), 15, face=AMBER, edge=INK)
        way = " → ".join(arrow.event for arrow in self._way[-7:])
        canvas.words((10, 508), f"its way: {way or 'press create'}", width=880)
        return canvas

    def _command(self, key: str) -> None:
        if key == "create":
            if self.state != GONE:
                raise ConflictError("there is one already: press rm first")
            self._way = []
            self._box = self.client.containers.create(
                "busybox",
                ["sh", "-c", "trap exit TERM; while :; do sleep 0.1; done"],
                labels=self.crew.labels,
                network_mode="none",
            )
        elif self._box is None or self.state == GONE:
            raise NotFoundError("there is no container: press create first")
        elif key == "rm":
            self._box.remove()
        else:
            getattr(self._box, key)()
            if key == "kill":
                self._box.wait()

    def _now(self) -> str:
        """Return the state that the engine reports."""
        if self._box is None:
            return GONE
        try:
            self._box.reload()
        except NotFoundError:
            return GONE
        return self._box.status

    def _walk(self, points: tuple[Point, ...]) -> None:
        for start, end in itertools.pairwise(points):
            self._token = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
            self.pause(TAKES_S / (len(points) - 1))
