"""The process 1 that gets the signal of `docker stop`, for four ways to write an ENTRYPOINT."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labkit.client import Client
from labkit.client.containers import Container
from labkit.course.dockerfile.build_graph import build
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.lifecycle.endings import KILL, await_words
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.course.page.scratch import scratch
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

SERVER = """#!/bin/sh
trap 'exit 0' TERM
echo ready
while :; do sleep 0.05; done
"""
IMAGE = "labkit-course-listener"


class Form(NamedTuple):
    """A way to write ENTRYPOINT, and whether the server itself becomes process 1."""

    words: str
    is_server_first: bool


FORMS = (
    Form('["/serve"]', True),
    Form("/serve", False),
    Form("echo starting && /serve", False),
    Form("echo starting && exec /serve", True),
)


class Stopped(NamedTuple):
    """The end of one container.  `first` is process 1, from the kernel (proc(5), cmdline)."""

    form: Form
    first: str
    took_s: float
    exit_code: int


@dataclass(frozen=True)
class Listeners:
    """The result of `first_listener`; `grace_s` is the time `stop` waits before it kills."""

    grace_s: float
    rows: tuple[Stopped, ...]

    @property
    def holds(self) -> bool:
        """Whether exactly those containers stopped at once whose process 1 is the server."""
        return all(
            row.form.is_server_first
            == (row.first == "/bin/sh /serve")
            == (row.took_s < self.grace_s)
            == (row.exit_code == 0)
            and row.exit_code in (0, 128 + KILL)
            for row in self.rows
        )

    def table(self) -> Table:
        """A row for each form."""
        return Table(
            ("ENTRYPOINT", "process 1", "stop took (s)", "exit code", "expected"),
            tuple(
                (
                    row.form.words,
                    row.first,
                    f"{row.took_s:.2f}",
                    str(row.exit_code),
                    "at once, 0" if row.form.is_server_first else f"{self.grace_s:g} s, 137",
                )
                for row in self.rows
            ),
        )

    def plot(self) -> "Figure":
        """Draw the times as bars; the dashed line is the end of the grace time."""
        return plot_listeners(self)


def first_listener(grace_s: int = 2, *, client: Client | None = None) -> Listeners:
    """Start a server that ends on SIGTERM, once for each form, and stop all four at the same time.

    `grace_s` is the argument of `docker stop -t`, in whole seconds.  The image is `debian`, whose
    shell stays as process 1; other shells may replace themselves by the last command.
    """
    client = client or connect()
    tags: list[str] = []
    try:
        for number, form in enumerate(FORMS, 1):
            tags.append(_made(f"{IMAGE}:{number}", form))
        with Crew(client, "listener", lifetime_s=60) as crew:
            boxes = [crew.hire_plain("listener", None, tag) for tag in tags]
            for box in boxes:
                await_words(box, b"ready")
            with ThreadPoolExecutor(len(boxes)) as pool:
                rows = tuple(pool.map(lambda form, box: _stop(form, box, grace_s), FORMS, boxes))
    finally:
        for tag in tags:
            client.images.remove(tag, force=True)
    return Listeners(float(grace_s), rows)


def _made(tag: str, form: Form) -> str:
    with scratch("listener") as folder:
        server = Path(folder, "serve")
        server.write_text(SERVER)
        server.chmod(0o755)
        lines = f"FROM debian\nCOPY serve /\nENTRYPOINT {form.words}\n"
        Path(folder, "Dockerfile").write_text(lines)
        built = build(folder, tag=tag)
    if built.error:
        raise LabkitError(f"{tag} could not be built: {built.error}")
    return tag


def _stop(form: Form, box: Container, grace_s: int) -> Stopped:
    box.reload()
    pid = int(box.attrs["State"]["Pid"])
    first = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    begin = time.monotonic()
    box.stop(timeout=grace_s)
    code = int(box.wait()["StatusCode"])
    return Stopped(form, first, time.monotonic() - begin, code)


# The picture of `first_listener`: the time each form took to stop, and its process 1.


def plot_listeners(result: Listeners) -> Figure:
    """Draw a bar for each form; the dashed line is the end of the grace time."""
    rows = range(len(result.rows))
    with style.picture(height_in=0.95 + 0.5 * len(rows)) as drawing:
        axes = drawing.subplots()
        for row, one in enumerate(result.rows):
            tone = style.colour(0 if one.exit_code == 0 else 1)
            axes.barh(row, one.took_s, height=0.6, color=tone)
            axes.annotate(
                f"{one.took_s:.2f} s, exit {one.exit_code}\nprocess 1: {one.first}",
                (one.took_s, row),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
        axes.axvline(result.grace_s, color=style.QUIET, linewidth=1.1, linestyle=style.DASHED)
        labels = [f"ENTRYPOINT\n{one.form.words}" for one in result.rows]
        axes.set_yticks(list(rows), labels, color=style.INK, fontsize=8, family="DejaVu Sans Mono")
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set(xlim=(0, result.grace_s * 2.15), ylim=(len(result.rows) - 0.4, -0.6))
        axes.set_xlabel("time from docker stop to the end (s)")
        style.headline(
            drawing,
            "Only process 1 hears stop",
            f"dashed: stop -t {result.grace_s:.0f}",
        )
    each = "; ".join(
        f"ENTRYPOINT {one.form.words}: process 1 is {one.first}, {one.took_s:.2f} s, "
        f"exit code {one.exit_code}"
        for one in result.rows
    )
    alt = (
        f"Bars: how long {len(result.rows)} containers took to stop, with a dashed line at the "
        f"grace of {result.grace_s:.0f} s. {each}."
    )
    return Figure(drawing, alt=alt, table=result.table())
