"""`labkit run --explain`: the steps of a start as a table, or as JSON."""

import errno
import json
import re

from labkit.cli.base.terminal import has_colours, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Step = dict[str, Any]

STDERR = 2
PIPE_WIDTH = 120
MAXIMUM_WIDTH = 140
WIDE = 110
"""From this width on a step is a row of four columns; below, its reason is on a line above it."""
STEP_WIDTH = 26
TIME_WIDTH = 9
GAP = "  "

PHASES = {
    "host": "on the host, before there is a process",
    "clone": "the process is made",
    "child": "in the new process, until it becomes the program",
}
_FULL_ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
BOLD, DIM, RED = "1", "2", "1;31"


def render(steps: "Sequence[Step]", form: str) -> str:
    """Return the text for stderr; `form` is text or json."""
    if form == "json":
        rows = ",\n  ".join(json.dumps(step, ensure_ascii=False) for step in steps)
        return f"[\n  {rows}\n]\n"
    columns = min(width(STDERR, PIPE_WIDTH), MAXIMUM_WIDTH)
    return "".join(f"{line}\n" for line in Table(columns, has_colours(STDERR)).lines(steps))


class Table:
    """Draws steps `columns` wide."""

    def __init__(self, columns: int, colours: bool) -> None:
        self.columns = columns
        self.colours = colours

    def lines(self, steps: "Sequence[Step]") -> "Iterator[str]":
        """Yield phase by phase, with sums; a failed step with its error, and how many follow it."""
        done = [step for step in steps if step["DurationNs"] is not None or _failed(step)]
        yield ""
        for phase, description in PHASES.items():
            of_phase = [step for step in done if step["Phase"] == phase]
            if of_phase:
                yield self._heading(f"{phase}: {description}", of_phase)
                yield from self._rows(of_phase)
                yield ""
        yield self._heading(f"{len(done)} steps", done)
        if len(done) < len(steps):
            yield f"not reached: {len(steps) - len(done)} more"
        yield ""

    def _heading(self, text: str, steps: "Sequence[Step]") -> str:
        total = _milliseconds(sum(step["DurationNs"] or 0 for step in steps))
        return self._style(text.ljust(self.columns - TIME_WIDTH) + total.rjust(TIME_WIDTH), BOLD)

    def _rows(self, steps: "Sequence[Step]") -> "Iterator[str]":
        draw = self._wide if self.columns >= WIDE else self._narrow
        before: tuple[str, str] = ("", "")
        for step in steps:
            name = "" if step["Step"] == before[0] else step["Step"]
            why = "" if (step["Step"], step["Why"]) == before else step["Why"]
            before = (step["Step"], step["Why"])
            yield from draw(name, why, _FULL_ID.sub(r"\1…", step["Call"]), step)
            if _failed(step):
                yield self._style(f"  ✗ {step['Error']}", RED)

    def _wide(self, name: str, why: str, call: str, step: "Step") -> "Iterator[str]":
        """Yield the rows of a step: step | call | why | time."""
        room = self.columns - STEP_WIDTH - TIME_WIDTH - 3 * len(GAP)
        call_width = room * 3 // 5
        cells = [
            (_wrap(name, STEP_WIDTH), STEP_WIDTH, BOLD),
            (_wrap(call, call_width), call_width, ""),
            (_wrap(why, room - call_width), room - call_width, DIM),
            ([_time(step).rjust(TIME_WIDTH)], TIME_WIDTH, RED if _failed(step) else ""),
        ]
        for index in range(max(len(lines) for lines, _, _ in cells)):
            texts = [
                self._style((lines[index] if index < len(lines) else "").ljust(size), code)
                for lines, size, code in cells
            ]
            yield GAP.join(texts).rstrip()

    def _narrow(self, name: str, why: str, call: str, step: "Step") -> "Iterator[str]":
        """Yield the rows of a step: step, why, and below call, time."""
        if name or why:
            reasons = _wrap(why, self.columns - STEP_WIDTH - len(GAP))
            for index, reason in enumerate(reasons):
                left = (name if index == 0 else "").ljust(STEP_WIDTH)
                yield self._style(left, BOLD) + GAP + self._style(reason, DIM)
        indent = 2 * GAP
        room = self.columns - len(indent) - len(GAP) - TIME_WIDTH
        for index, line in enumerate(_wrap(call, room)):
            time = _time(step).rjust(TIME_WIDTH) if index == 0 else ""
            code = RED if _failed(step) else ""
            yield (indent + line.ljust(room) + GAP + self._style(time, code)).rstrip()

    def _style(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colours and code and text.strip() else text


def _failed(step: "Step") -> bool:
    return bool(step["Errno"] or step["Error"])


def _time(step: "Step") -> str:
    if _failed(step):
        return f"✗ {errno.errorcode.get(step['Errno'], 'failed')}"
    return _milliseconds(step["DurationNs"])


def _milliseconds(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.3f} ms"


def _wrap(text: str, columns: int) -> list[str]:
    """Return lines of at most `columns`, cut at spaces, or at joints of paths and lists.

    Lines after the first are indented, as the continuation of a call.
    """
    lines = []
    while len(text) > columns:
        cut = text.rfind(" ", columns // 2, columns + 1)
        if cut < 0:
            cut = max(text.rfind(joint, columns // 2, columns) for joint in ",/|:") + 1
        if cut <= 0:
            cut = columns
        lines.append(text[:cut].rstrip())
        text = GAP + text[cut:].lstrip()
    return [*lines, text]
