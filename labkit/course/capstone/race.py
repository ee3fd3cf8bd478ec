"""mini's start beside labkit's: two waterfalls on one axis."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labkit.client import Client
from labkit.course.capstone import workshop
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.waterfall import group_of
from labkit.errors import LabkitError

PHASES = ("host", "clone", "child")
WORDS = ("in the engine", "the process is made", "in the container's own process")


class Bar(NamedTuple):
    """Neighbouring steps of one kind in one process."""

    phase: str
    name: str
    steps: int
    start_ms: float
    took_ms: float


class Race:
    """The bars of both starts; times in ms from the first step on."""

    def __init__(self, mini: Sequence[Bar], labkit: Sequence[Bar]) -> None:
        self.mini = tuple(mini)
        self.labkit = tuple(labkit)

    def plot(self) -> Figure:
        """Both waterfalls, one above the other."""
        bars = {"mini": self.mini, "labkit": self.labkit}
        end_ms = max(bar.start_ms + bar.took_ms for every in bars.values() for bar in every)
        counts = [len(every) + 1.5 for every in bars.values()]
        with style.picture(height_in=1.3 + 0.17 * sum(counts)) as drawing:
            both = drawing.subplots(2, 1, sharex=True, height_ratios=counts)
            for axes, (name, every) in zip(both, bars.items(), strict=True):
                _draw(axes, name, every, end_ms, named=name == "mini")
            both[1].set_xlabel("time since the first step (ms)")
            words = ", ".join(f"{name} {_end(every):.1f} ms" for name, every in bars.items())
            style.headline(drawing, f"From the first step to the exec: {words}")
        return Figure(drawing, alt=self._alt(), table=self.table())

    def table(self) -> Table:
        """Every bar, as a row."""
        rows = tuple(
            (name, bar.phase, bar.name, str(bar.steps), f"{bar.start_ms:.2f}", f"{bar.took_ms:.2f}")
            for name, every in (("mini", self.mini), ("labkit", self.labkit))
            for bar in every
        )
        return Table(("engine", "phase", "step", "calls", "began (ms)", "took (ms)"), rows)

    def _alt(self) -> str:
        parts = [
            f"{name} takes {_end(every):.1f} ms, most of it in "
            f"{max(every, key=lambda bar: bar.took_ms).name}"
            for name, every in (("mini", self.mini), ("labkit", self.labkit))
        ]
        return f"Two waterfall charts of a container's start on one axis: {'; '.join(parts)}."


def race(client: Client) -> Race:
    """Start the same command once with each, and take the times of their steps."""
    container = client.containers.run("busybox", ["true"], init=True, detach=True)
    try:
        container.wait()
        labkit = labkit_bars(container.steps())
    finally:
        container.remove(force=True)
    return Race(mini_bars(_time_mini()), labkit)


def _time_mini() -> list[tuple[int, str, int, int]]:
    folder = os.path.dirname(workshop.path())
    with tempfile.NamedTemporaryFile(prefix="labkit-mini-") as times:
        tracer = [sys.executable, "-m", "labkit.course.capstone.timed", times.name]
        words = ["run", "--address", "10.99.0.9", "--image", f"{folder}/image", "--", "true"]
        result = subprocess.run(
            [*tracer, workshop.path(), *words],
            env=workshop.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise LabkitError(f"mini did not run: {result.stderr.strip()[-300:]}")
        found: list[tuple[int, str, int, int]] = json.load(times)
    return found


def labkit_bars(steps: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Neighbouring steps with one purpose are one bar; steps that were not reached are left out."""
    bars: list[Bar] = []
    now_ms = 0.0
    for step in steps:
        if step["DurationNs"] is None:
            continue
        took_ms = step["DurationNs"] / 1e6
        kind = (step["Phase"], group_of(step))
        if bars and bars[-1][:2] == kind:
            last = bars[-1]
            bars[-1] = last._replace(steps=last.steps + 1, took_ms=last.took_ms + took_ms)
        else:
            bars.append(Bar(*kind, 1, now_ms, took_ms))
        now_ms += took_ms
    return bars


def mini_bars(calls: Sequence[Sequence[Any]]) -> list[Bar]:
    """Neighbouring calls of one kind in one process are one bar; they begin when they began."""
    bars: list[Bar] = []
    inside: dict[int, int] = {}
    for area, call, begin_ns, end_ns in calls:
        kind = call.rpartition(".")[2]
        phase = "clone" if kind == "clone" else PHASES[0 if area == 0 else 2]
        start_ms = (begin_ns - calls[0][2]) / 1e6
        took_ms = (end_ns - begin_ns) / 1e6
        if end_ns <= inside.get(area, 0):
            continue  # a call that another one makes
        inside[area] = end_ns
        if bars and (bars[-1].phase, bars[-1].name) == (phase, kind):
            last = bars[-1]
            whole_ms = start_ms + took_ms - last.start_ms
            bars[-1] = last._replace(steps=last.steps + 1, took_ms=whole_ms)
        else:
            bars.append(Bar(phase, kind, 1, start_ms, took_ms))
    return bars


def _end(bars: Sequence[Bar]) -> float:
    return bars[-1].start_ms + bars[-1].took_ms if bars else 0.0


def _draw(axes: Any, name: str, bars: Sequence[Bar], end_ms: float, *, named: bool) -> None:
    rows = range(len(bars))
    axes.barh(
        rows,
        [max(bar.took_ms, end_ms / 400) for bar in bars],
        left=[bar.start_ms for bar in bars],
        height=0.68,
        color=[style.colour(PHASES.index(bar.phase)) for bar in bars],
    )
    labels = [bar.name if bar.steps == 1 else f"{bar.name}  × {bar.steps}" for bar in bars]
    axes.set_yticks(list(rows), labels, color=style.INK, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(xlim=(0, end_ms * 1.05), ylim=(len(bars) - 0.4, -0.7))
    axes.set_title(f"{name}: {sum(bar.steps for bar in bars)} steps")
    for number, (phase, words) in enumerate(zip(PHASES, WORDS, strict=True)) if named else ():
        axes.text(
            0.012,
            (0.7 + 1.3 * (len(PHASES) - 1 - number)) / len(bars),
            f"■ {phase}: {words}",
            transform=axes.transAxes,
            ha="left",
            va="bottom",
            fontsize=8.5,
            color=style.readable(number),
        )
