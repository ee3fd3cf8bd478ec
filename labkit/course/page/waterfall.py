"""The start of a container as a waterfall: a row for each part of the work, with its bars in time.

The steps of one purpose (the eight cgroups, the twenty mounts) share a row, so that a reader first
sees nine plain names; each row opens to its steps below the picture.  `explain` and
`labkit run --explain` list every single step.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.errors import InvalidParameterError

PHASES = {
    "host": "in the engine",
    "clone": "the process is made",
    "child": "in the new process",
}
"""The phases of a plan in order, with the words for the picture."""
GROUPS = {
    "cgroup": "limits: cgroups",
    "stdio": "input and output",
    "terminal": "input and output",
    "descriptors": "input and output",
    "shield": "input and output",
    "namespace": "walls: namespaces",
    "network": "network",
    "storage": "files: mounts and devices",
    "mount": "files: mounts and devices",
    "pivot_root": "files: mounts and devices",
    "device": "files: mounts and devices",
    "masked_paths": "files: mounts and devices",
    "readonly_paths": "files: mounts and devices",
    "working_directory": "files: mounts and devices",
    "exec": "the program starts",
}
"""The row of a step, by the first part of its name."""
NEGLIGIBLE_MS = 1e-6
CLONE = "the process"
REST = "rights: user and powers"
"""The row of any other step: keys, users, capabilities, the filter of system calls."""


class Bar(NamedTuple):
    """The steps of one phase and one group; `spans` has their (start, length) in ms, in order."""

    phase: str
    name: str
    steps: tuple[Mapping[str, Any], ...]
    spans: tuple[tuple[float, float], ...]

    @property
    def start_ms(self) -> float:
        """The start of its first step, relative to the first step of all."""
        return self.spans[0][0]

    @property
    def took_ms(self) -> float:
        """The time of all its steps together."""
        return sum(took_ms for _, took_ms in self.spans)

    @property
    def end_ms(self) -> float:
        """The end of its last step."""
        return sum(self.spans[-1])


def waterfall(steps: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Draw the steps of a container's last start, from `container.steps()`.

    `InvalidParameterError` if there are none: the container was never started.
    """
    bars = bars_of(steps)
    if not bars:
        raise InvalidParameterError("no steps to draw: start the container first")
    whole_ms = max(bar.end_ms for bar in bars)
    with style.picture(height_in=1.15 + 0.3 * len(bars)) as drawing:
        axes = drawing.subplots()
        _draw(axes, bars, whole_ms)
        style.headline(drawing, title or f"{len(steps)} steps, {whole_ms:.1f} ms")
    return Figure(drawing, alt=_alt(bars, whole_ms), table=_table(bars), parts=_parts(bars))


def bars_of(steps: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """The rows of the picture, in the order of their first steps, without steps not reached."""
    found: dict[tuple[str, str], Bar] = {}
    now_ms = 0.0
    for step in steps:
        if step["DurationNs"] is None:
            continue
        span = (now_ms, step["DurationNs"] / 1e6)
        key = (step["Phase"], group_of(step))
        bar = found.get(key, Bar(*key, (), ()))
        found[key] = bar._replace(steps=(*bar.steps, step), spans=_joined(bar.spans, span))
        now_ms += span[1]
    return list(found.values())


def _joined(
    spans: tuple[tuple[float, float], ...], new: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """Add a span; it lengthens the last one if it begins where that ends."""
    if spans and abs(sum(spans[-1]) - new[0]) < NEGLIGIBLE_MS:
        return (*spans[:-1], (spans[-1][0], spans[-1][1] + new[1]))
    return (*spans, new)


def group_of(step: Mapping[str, Any]) -> str:
    """The plain name of the row that a step belongs to."""
    if step["Phase"] == "clone":
        return CLONE
    return GROUPS.get(step["Step"].partition(".")[0], REST)


def explain(steps: Sequence[Mapping[str, Any]], group: str) -> Table:
    """The steps of one group, such as `cgroup.cpu`, as rows: the call, the reason, the duration."""
    return _rows(
        [one for one in steps if one["Step"] == group or one["Step"].startswith(f"{group}.")]
    )


def _draw(axes: Any, bars: Sequence[Bar], whole_ms: float) -> None:
    order = list(PHASES)
    for row, bar in enumerate(bars):
        axes.broken_barh(
            [(start_ms, max(took_ms, whole_ms / 400)) for start_ms, took_ms in bar.spans],
            (row - 0.34, 0.68),
            facecolors=style.colour(order.index(bar.phase)),
        )
        axes.annotate(
            _duration(bar.took_ms),
            (bar.end_ms, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=style.QUIET,
        )
    _name_phases(axes, bars)
    style.named_rows(axes, [bar.name for bar in bars])
    axes.set(xlim=(0, whole_ms * 1.1), xlabel="time since the first step (ms)")


def _name_phases(axes: Any, bars: Sequence[Bar]) -> None:
    """Write the names of the colours at the lower left, where a waterfall has no bars."""
    for number, (phase, words) in enumerate(PHASES.items()):
        axes.annotate(
            f"{phase}: {words}",
            (0, len(bars) - len(PHASES) + number),
            xytext=(8, 0),
            textcoords="offset points",
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
        "A waterfall chart of the container's start: a row for each part of the work, with bars in "
        f"the order of time, {whole_ms:.1f} ms in all. By phase: {parts}. The longest: {named}."
    )


def _table(bars: Sequence[Bar]) -> Table:
    return Table(
        ("phase", "part of the work", "steps", "began (ms)", "took (ms)"),
        tuple(
            (bar.phase, bar.name, str(len(bar.steps)), f"{bar.start_ms:.3f}", f"{bar.took_ms:.3f}")
            for bar in bars
        ),
    )


def _parts(bars: Sequence[Bar]) -> list[tuple[str, Table]]:
    """The steps of each row, which open below the picture."""
    return [(f"{bar.phase}, {bar.name}: {len(bar.steps)} steps", _rows(bar.steps)) for bar in bars]


def _rows(steps: Sequence[Mapping[str, Any]]) -> Table:
    return Table(
        ("step", "call", "why", "time (µs)"),
        tuple(
            (step["Step"], _short(step["Call"]), step["Why"], _microseconds(step)) for step in steps
        ),
    )


def _short(call: str) -> str:
    """The call with the container's id cut to its usual twelve digits."""
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", call)


def _microseconds(step: Mapping[str, Any]) -> str:
    return "–" if step["DurationNs"] is None else f"{step['DurationNs'] / 1000:.0f}"
