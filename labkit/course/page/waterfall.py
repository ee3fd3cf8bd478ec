"""The start of a container as a waterfall: a bar for each step, from when it began to its end.

Neighbouring steps of one kind (the eight cgroups, the six devices) are one bar, so that the whole
start fits on a page; `explain` and `labkit run --explain` name every single step.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.errors import InvalidParameterError

PHASES = {
    "host": "in the engine, before there is a process",
    "clone": "the process is made",
    "child": "in the container's own process",
}
"""The phases of a plan in order, with the words the picture uses for them."""


class Bar(NamedTuple):
    """Neighbouring steps of one phase and one kind; times in ms since the first step began."""

    phase: str
    name: str
    steps: int
    start_ms: float
    took_ms: float


def waterfall(steps: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Draw the steps of a container's last start, as `container.steps()` gives them.

    `InvalidParameterError` if there are none: the container was never started.
    """
    bars = bars_of(steps)
    if not bars:
        raise InvalidParameterError("no steps to draw: has the container been started?")
    whole_ms = bars[-1].start_ms + bars[-1].took_ms
    with style.picture(height_in=1.15 + 0.205 * len(bars)) as drawing:
        axes = drawing.subplots()
        _draw(axes, bars, whole_ms)
        style.headline(drawing, title or f"{len(steps)} steps, {whole_ms:.1f} ms")
    return Figure(drawing, alt=_alt(bars, whole_ms), table=_table(bars))


def bars_of(steps: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """The bars of the picture, in order; steps that were not reached are left out."""
    bars: list[Bar] = []
    now_ms = 0.0
    for step in steps:
        if step["DurationNs"] is None:
            continue
        took_ms = step["DurationNs"] / 1e6
        kind = step["Step"].partition(".")[0]
        last = bars[-1] if bars else None
        if last and (last.phase, last.name.partition(".")[0]) == (step["Phase"], kind):
            bars[-1] = last._replace(
                name=last.name if last.name == step["Step"] else kind,
                steps=last.steps + 1,
                took_ms=last.took_ms + took_ms,
            )
        else:
            bars.append(Bar(step["Phase"], step["Step"], 1, now_ms, took_ms))
        now_ms += took_ms
    return bars


def explain(steps: Sequence[Mapping[str, Any]], group: str) -> Table:
    """The steps of one group, such as `cgroup.cpu`, as rows: the call, why, how long it took."""
    return Table(
        ("step", "call", "why", "time (µs)"),
        tuple(
            (step["Step"], _short(step["Call"]), step["Why"], _microseconds(step))
            for step in steps
            if step["Step"] == group or step["Step"].startswith(f"{group}.")
        ),
    )


def _draw(axes: Any, bars: Sequence[Bar], whole_ms: float) -> None:
    rows = range(len(bars))
    order = list(PHASES)
    axes.barh(
        rows,
        [max(bar.took_ms, whole_ms / 400) for bar in bars],
        left=[bar.start_ms for bar in bars],
        height=0.68,
        color=[style.colour(order.index(bar.phase)) for bar in bars],
    )
    for row, bar in enumerate(bars):
        axes.annotate(
            _duration(bar.took_ms),
            (bar.start_ms + bar.took_ms, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=style.QUIET,
        )
    _name_phases(axes, bars, whole_ms)
    axes.set_yticks(
        list(rows),
        [bar.name if bar.steps == 1 else f"{bar.name}  × {bar.steps}" for bar in bars],
        color=style.INK,
        fontsize=8,
    )
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set(
        xlim=(0, whole_ms * 1.1),
        ylim=(len(bars) - 0.4, -0.7),
        xlabel="time since the first step (ms)",
    )


def _name_phases(axes: Any, bars: Sequence[Bar], whole_ms: float) -> None:
    """Name each phase once, beside its first bar, on the side where there is room."""
    for number, (phase, words) in enumerate(PHASES.items()):
        row = next((row for row, bar in enumerate(bars) if bar.phase == phase), None)
        if row is None:
            continue
        bar = bars[row]
        end_ms = bar.start_ms + bar.took_ms
        is_left = end_ms > whole_ms * 0.5
        axes.annotate(
            f"{phase}: {words}",
            (bar.start_ms if is_left else end_ms, row),
            xytext=(-8 if is_left else 52, 0),
            textcoords="offset points",
            ha="right" if is_left else "left",
            va="center",
            fontsize=8.5,
            fontweight="bold",
            color=style.readable(number),
        )


def _duration(took_ms: float) -> str:
    return f"{took_ms:.1f} ms" if took_ms >= 1 else f"{max(1, round(1000 * took_ms))} µs"


def _alt(bars: Sequence[Bar], whole_ms: float) -> str:
    longest = sorted(bars, key=lambda bar: -bar.took_ms)[:3]
    named = ", ".join(f"{bar.name} ({_duration(bar.took_ms)})" for bar in longest)
    parts = ", ".join(
        f"{phase} {_duration(sum(bar.took_ms for bar in bars if bar.phase == phase))}"
        for phase in PHASES
    )
    return (
        "A waterfall chart of the container's start: one bar a kind of step, each beginning where "
        f"the one above ends, {whole_ms:.1f} ms in all. By phase: {parts}. The longest: {named}."
    )


def _table(bars: Sequence[Bar]) -> Table:
    return Table(
        ("phase", "kind of step", "steps", "began (ms)", "took (ms)"),
        tuple(
            (bar.phase, bar.name, str(bar.steps), f"{bar.start_ms:.3f}", f"{bar.took_ms:.3f}")
            for bar in bars
        ),
    )


def _short(call: str) -> str:
    """The call with the container's id cut to the twelve digits people know it by."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", call)


def _microseconds(step: Mapping[str, Any]) -> str:
    return "–" if step["DurationNs"] is None else f"{step['DurationNs'] / 1000:.0f}"
