"""mini's start beside labkit's: two waterfalls on one axis."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from labkit.client import Client
from labkit.course.capstone import workshop
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.scratch import prefix
from labkit.course.page.waterfall import CLONE, GROUPS, PHASES, REST, Bar, bars_of
from labkit.errors import LabkitError

ROWS = {
    "clone": CLONE,
    "write_text": GROUPS["cgroup"],
    "close_all_but": GROUPS["descriptors"],
    "unshare": GROUPS["namespace"],
    "set_hostname": GROUPS["namespace"],
    **dict.fromkeys(("mount", "pivot_root", "unmount"), GROUPS["mount"]),
    **dict.fromkeys(("make_bridge", "make_veth", "bring_up", "switch_on"), GROUPS["network"]),
    **dict.fromkeys(("add_address", "add_default_route"), GROUPS["network"]),
    "execvpe": GROUPS["exec"],
}
"""The row of labkit's waterfall that a call belongs to; any other call is about rights."""

LEGEND = (("in the engine", 0.38), ("the clone", 0.57), ("in the container's process", 0.70))
"""The label of each phase, and where it begins above the upper picture (a part of its width)."""


class Race:
    """The bars of both starts; times in ms from the first step on."""

    def __init__(self, mini: Sequence[Bar], labkit: Sequence[Bar]) -> None:
        self.mini = tuple(mini)
        self.labkit = tuple(labkit)

    def plot(self) -> Figure:
        """Both waterfalls, one above the other."""
        bars = {"mini": self.mini, "labkit": self.labkit}
        end_ms = max(_end(every) for every in bars.values())
        counts = [len(every) + 1.5 for every in bars.values()]
        with style.picture(height_in=1.3 + 0.24 * sum(counts)) as drawing:
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
            (
                name,
                bar.phase,
                bar.name,
                str(len(bar.steps)),
                f"{bar.start_ms:.2f}",
                f"{bar.took_ms:.2f}",
            )
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
    """Start the same command once in each engine, and measure the steps."""
    container = client.containers.run("busybox", ["true"], init=True, detach=True)
    try:
        container.wait()
        labkit = bars_of(container.steps())
    finally:
        container.remove(force=True)
    return Race(mini_bars(_time_mini()), labkit)


def _time_mini() -> list[tuple[int, str, int, int]]:
    folder = os.path.dirname(workshop.path())
    with tempfile.NamedTemporaryFile(prefix=prefix("mini")) as times:
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


def mini_bars(calls: Sequence[Sequence[Any]]) -> list[Bar]:
    """Sort the calls into labkit's rows; a call within another call is part of that one."""
    found: dict[tuple[str, str], Bar] = {}
    inside: dict[int, int] = {}
    for area, call, begin_ns, end_ns in calls:
        kind = call.rpartition(".")[2]
        if end_ns <= inside.get(area, 0):
            continue
        inside[area] = end_ns
        phase = "clone" if kind == "clone" else "child" if area else "host"
        key = (phase, ROWS.get(kind, REST))
        span = ((begin_ns - calls[0][2]) / 1e6, (end_ns - begin_ns) / 1e6)
        bar = found.get(key, Bar(*key, (), ()))
        found[key] = bar._replace(steps=(*bar.steps, {"Step": kind}), spans=(*bar.spans, span))
    return list(found.values())


def _end(bars: Sequence[Bar]) -> float:
    return max((bar.end_ms for bar in bars), default=0.0)


def _draw(axes: Any, name: str, bars: Sequence[Bar], end_ms: float, *, named: bool) -> None:
    for row, bar in enumerate(bars):
        axes.broken_barh(
            [(start_ms, max(took_ms, end_ms / 400)) for start_ms, took_ms in bar.spans],
            (row - 0.34, 0.68),
            facecolors=style.colour(list(PHASES).index(bar.phase)),
        )
    style.named_rows(axes, [bar.name for bar in bars])
    axes.set_xlim(0, end_ms * 1.05)
    axes.set_title(f"{name}: {sum(len(bar.steps) for bar in bars)} steps")
    for number, (words, at) in enumerate(LEGEND) if named else ():
        axes.text(
            at,
            1.03,
            f"■ {words}",
            transform=axes.transAxes,
            va="bottom",
            fontsize=8.5,
            color=style.readable(number),
        )
