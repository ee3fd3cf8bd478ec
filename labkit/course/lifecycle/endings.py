"""stop and kill, each for three programs: how long they take, and the exit codes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import LabkitError

READY_TIMEOUT_S = 90.0
TERM, KILL = 15, 9


class Program(NamedTuple):
    """A program, the way its container is started, and the expected exit code of `stop`."""

    name: str
    script: str
    options: dict[str, Any]
    code_of_stop: int
    is_deaf: bool


PROGRAMS = (
    Program(
        "listens to SIGTERM",
        "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done",
        {},
        0,
        False,
    ),
    Program("sleep, as process 1", "echo ready; exec sleep 1000", {}, 137, True),
    Program("sleep, below --init", "echo ready; exec sleep 1000", {"init": True}, 143, False),
)


class Ending(NamedTuple):
    """The end of one container: the command, the signals that the engine sent, and the result."""

    program: Program
    verb: str
    signals: tuple[int, ...]
    took_s: float
    exit_code: int


@dataclass(frozen=True)
class Endings:
    """The result of `endings`; `grace_s` is the time `stop` waits before it kills."""

    grace_s: float
    rows: tuple[Ending, ...]

    def expected_codes(self) -> tuple[int, ...]:
        """The exit codes by the rules of signals, row by row."""
        return tuple(
            row.program.code_of_stop if row.verb == "stop" else 128 + KILL for row in self.rows
        )

    @property
    def holds(self) -> bool:
        """Whether every code is as expected, and only deaf programs used up the grace time."""
        codes = tuple(row.exit_code for row in self.rows)
        waited = all(
            (row.took_s >= self.grace_s) == (row.verb == "stop" and row.program.is_deaf)
            for row in self.rows
        )
        return codes == self.expected_codes() and waited

    def table(self) -> Table:
        """A row for each container."""
        return Table(
            ("program", "docker", "signals sent", "took (s)", "exit code", "expected code"),
            tuple(
                (
                    row.program.name,
                    row.verb,
                    " then ".join(map(str, row.signals)),
                    f"{row.took_s:.2f}",
                    str(row.exit_code),
                    str(code),
                )
                for row, code in zip(self.rows, self.expected_codes(), strict=True)
            ),
        )

    def plot(self) -> "Figure":
        """Draw the times as bars; the dashed line is the end of the grace time."""
        return plot_endings(self)


def endings(grace_s: int = 3, *, client: Client | None = None) -> Endings:
    """Start three programs twice each, stop one of each pair and kill the other.

    `grace_s` is the argument of `docker stop -t`, in whole seconds.  All run at the same time, so
    that the whole takes little longer than the grace time.
    """
    client = client or connect()
    with Crew(client, "endings", lifetime_s=60) as crew:
        pairs = [
            (
                program,
                verb,
                crew.hire_plain("ending", ["sh", "-c", program.script], **program.options),
            )
            for program in PROGRAMS
            for verb in ("stop", "kill")
        ]
        for _, _, container in pairs:
            await_words(container, b"ready")
        with ThreadPoolExecutor(len(pairs)) as pool:
            rows = tuple(pool.map(lambda pair: _end(client, pair, grace_s), pairs))
    return Endings(float(grace_s), rows)


def await_words(container: Container, words: bytes) -> None:
    """Wait until the container has printed these words; LabkitError if it does not."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while words not in container.logs():
        if time.monotonic() > deadline:
            raise LabkitError(f"{container.name} did not print {words!r}: {container.logs()!r}")
        time.sleep(0.02)


def _end(client: Client, case: tuple[Program, str, Container], grace_s: int) -> Ending:
    program, verb, container = case
    begin = time.monotonic()
    if verb == "stop":
        container.stop(timeout=grace_s)
    else:
        container.kill()
    code = int(container.wait()["StatusCode"])
    took_s = time.monotonic() - begin
    return Ending(program, verb, _signals(client, container), took_s, code)


def _signals(client: Client, container: Container) -> tuple[int, ...]:
    return tuple(
        int(event["Actor"]["Attributes"]["signal"])
        for event in told(client, container)
        if event["Action"] == "kill"
    )


def told(client: Client, container: Container) -> Sequence[dict[str, Any]]:
    """The engine's events of this container so far."""
    return list(client.events(since=1, until=time.time(), filters={"container": container.id}))


def plot_endings(result: Endings) -> Figure:
    """Draw a bar for each container; the dashed line is the end of the grace time."""
    rows = range(len(result.rows))
    with style.picture(height_in=0.9 + 0.36 * len(rows)) as drawing:
        axes = drawing.subplots()
        for row, one in enumerate(result.rows):
            tone = style.colour(0 if one.verb == "stop" else 1)
            axes.barh(row, one.took_s, height=0.66, color=tone)
            signals = " then ".join(map(str, one.signals))
            _beside(axes, one.took_s, row, f"{one.took_s:.2f} s, exit {one.exit_code}", signals)
        axes.axvline(result.grace_s, color=style.QUIET, linewidth=1.1, linestyle=style.DASHED)
        labels = [f"{one.program.name}: {one.verb}" for one in result.rows]
        style.named_rows(axes, labels)
        axes.set(xlim=(0, result.grace_s * 1.75), xlabel="time from the command to the end (s)")
        style.headline(
            drawing,
            "A program that ignores SIGTERM is killed after the grace",
            f"dashed: stop -t {result.grace_s:.0f}",
        )
    return Figure(drawing, alt=_alt_of_endings(result), table=result.table())


def _beside(axes: Any, x: float, row: int, words: str, signals: str) -> None:
    axes.annotate(
        f"{words}   (signal {signals})",
        (x, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
    )


def _alt_of_endings(result: Endings) -> str:
    each = "; ".join(
        f"{one.program.name}, {one.verb}: {one.took_s:.2f} s, exit code {one.exit_code}"
        for one in result.rows
    )
    return (
        f"Bars: how long {len(result.rows)} containers took to end, with a dashed line at the "
        f"grace of {result.grace_s:.0f} s. {each}."
    )
