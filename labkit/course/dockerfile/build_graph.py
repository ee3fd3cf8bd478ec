"""Builds step by step: which steps came from the cache, which ran and why, what each added.

The reasons are the engine's own, from `labkit build --explain-cache`.
"""

import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect
from labkit.dialect.sizes import human_size

HIT, MISS, GIVEN = "hit", "miss", ""
"""The cache's answer for a step; FROM does not ask the cache."""
UNCOUNTED = ("Image", "Hostname")
"""Fields of a configuration that describe the build and not a container."""
SAYS = "labkit: "
"""The command begins its own error messages with this word."""
_STEP = re.compile(r"Step (\d+)/\d+ : (.*)")
_CACHE = re.compile(r" ---> Cache (hit|miss): (.*)")
_ENDS = ("Removing intermediate container", "Successfully ")
_IMAGE = re.compile(r" ---> ([0-9a-f]{12})$")


@dataclass(frozen=True)
class BuildStep:
    """One instruction: `cache` is HIT, MISS or GIVEN, `image` the short id of the result."""

    number: int
    words: str
    cache: str = GIVEN
    why: str = ""
    took_s: float = 0.0
    image: str = ""
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Build:
    """A finished build.  `error` is the reason of its failure; empty if it succeeded."""

    title: str
    steps: tuple[BuildStep, ...]
    took_s: float
    error: str = ""

    def caches(self) -> list[str]:
        """HIT or MISS for each step that asked the cache."""
        return [step.cache for step in self.steps if step.cache]

    def effects(self) -> Table:
        """The files (a layer) and the fields of the configuration that each instruction added."""
        images = [connect().images.get(step.image).attrs for step in self.steps]
        return effects(self.steps, images)


@dataclass(frozen=True)
class Builds:
    """Builds of the same folder, one after the other; `results` has a word for each result."""

    builds: Sequence[Build] = field(default_factory=tuple)
    results: Sequence[str] = ()

    def table(self) -> Table:
        """A row for each step of each build."""
        return Table(
            ("build", "step", "instruction", "cache", "why", "took (s)"),
            tuple(
                (
                    one.title,
                    str(step.number),
                    step.words,
                    step.cache or "–",
                    step.why or "–",
                    f"{step.took_s:.2f}",
                )
                for one in self.builds
                for step in one.steps
            ),
        )

    def plot(self) -> Figure:
        """Draw them side by side, each as a chain down from its FROM."""
        return plot_builds(self)


def build(folder: str, *, title: str = "", tag: str = "", options: Sequence[str] = ()) -> Build:
    """Build a folder with `labkit build --explain-cache`; a failed build is a result too."""
    named = ["-t", tag] if tag else []
    begin_s = time.monotonic()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "labkit.cli", "build", "--explain-cache", "--progress=plain"),
            *(*named, *options, folder),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        printed = process.stdout or ()
        timed = [(time.monotonic() - begin_s, line.rstrip("\n")) for line in printed]
    took_s = time.monotonic() - begin_s
    error = next((line.removeprefix(SAYS) for _, line in timed if line.startswith(SAYS)), "")
    return Build(title or tag or folder, tuple(steps_of(timed, took_s)), took_s, error)


def steps_of(timed: Iterable[tuple[float, str]], end_s: float) -> Iterator[BuildStep]:
    """The steps in a build's output, whose lines come with their times."""
    step: BuildStep | None = None
    began_s = 0.0
    for now_s, line in timed:
        if begun := _STEP.fullmatch(line):
            if step:
                yield replace(step, took_s=now_s - began_s)
            step, began_s = BuildStep(int(begun[1]), begun[2]), now_s
        elif step is None or line.startswith((SAYS, *_ENDS)):
            continue
        elif judged := _CACHE.fullmatch(line):
            step = replace(step, cache=judged[1], why=judged[2])
        elif made := _IMAGE.fullmatch(line):
            step = replace(step, image=made[1])
        elif not line.startswith(" --->"):
            step = replace(step, output=(*step.output, line))
    if step:
        yield replace(step, took_s=end_s - began_s)


def effects(steps: Sequence[BuildStep], images: Sequence[dict[str, Any]]) -> Table:
    """Compare each step's image with the one before; `images` are in the form of `inspect`."""
    rows = []
    for step, before, after in zip(steps[1:], images, images[1:], strict=False):
        layers = len(after["RootFS"]["Layers"]) - len(before["RootFS"]["Layers"])
        files = human_size(after["Size"] - before["Size"]) if layers else "–"
        rows.append((step.words, files, changes(_fields(before), _fields(after)) or "–"))
    return Table(("instruction", "layer of files", "in the configuration"), tuple(rows))


def _fields(image: dict[str, Any]) -> dict[str, Any]:
    """An image's author, and its configuration for containers."""
    return {"Author": image.get("Author", ""), **image["Config"]}


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The fields that differ, with their new values: `User=nobody`."""
    return ", ".join(
        f"{name}={_new(before.get(name), value)}"
        for name, value in after.items()
        if name not in UNCOUNTED and (value or before.get(name)) and value != before.get(name)
    )


def _new(before: Any, after: Any) -> str:
    """The new part of a value; of a list or a mapping only new entries."""
    if isinstance(after, dict):
        new = {name: value for name, value in after.items() if name not in (before or {})}
        return ", ".join(f"{name}={value}" if value else name for name, value in new.items())
    if isinstance(after, list):
        return " ".join(str(one) for one in after if one not in (before or ()))
    return str(after)


# The picture of builds: for each a chain of steps, from the cache or made.


GAP = 0.06
LETTERS_A_FIGURE = 108
"""The number of letters that fit side by side in the whole picture."""
NARROWER = 1.35
"""The number of letters of a sentence that need the room of one letter of code."""
WORDS = {HIT: "from the cache", MISS: "made", GIVEN: "there already"}
FACES = {HIT: "#DDEFED", MISS: "#F7E0E7", GIVEN: "#F3F5F7"}
EDGES = {HIT: style.colour(2), MISS: style.colour(1), GIVEN: style.QUIET}
INKS = {HIT: style.readable(2), MISS: style.readable(1), GIVEN: style.QUIET}


def plot_builds(result: Builds) -> Figure:
    """Draw a column for each build; a thick edge marks a step that was made."""
    builds = result.builds
    rows = max(len(one.steps) for one in builds)
    with style.picture(height_in=0.75 + 1.08 * rows) as drawing:
        axes = drawing.subplots()
        axes.set(xlim=(0, len(builds)), ylim=(rows - 0.16, -0.36))
        axes.set_axis_off()
        letters = LETTERS_A_FIGURE // len(builds) - 7
        for column, one in enumerate(builds):
            name = f"{one.title}: {one.took_s:.1f} s"
            axes.text(column + 0.5, -0.2, name, ha="center", va="center", fontweight="bold")
            if result.results:
                said = result.results[column]
                tone = EDGES[MISS] if one.error else style.INK
                axes.text(column + 0.5, -0.05, said, ha="center", va="center", color=tone)
            for row, step in enumerate(one.steps):
                _draw(axes, (column, row), step, letters, is_last=step is one.steps[-1])
        style.headline(drawing, _finding(result), "green: cache, red: made")
    return Figure(drawing, alt=_alt(result), table=result.table())


def _finding(result: Builds) -> str:
    if result.results:
        return ", ".join(result.results)
    last = result.builds[-1]
    hits, misses = (last.caches().count(one) for one in (HIT, MISS))
    return f"{last.title}: {hits} from the cache, {misses} made"


def _alt(result: Builds) -> str:
    each = " ".join(
        f"{one.title}: "
        + ", ".join(f"{step.words} – {WORDS[step.cache]}" for step in one.steps)
        + (f"; it failed: {one.error}." if one.error else ".")
        for one in result.builds
    )
    given = f" They gave: {', '.join(result.results)}." if result.results else ""
    return f"The steps of {len(result.builds)} builds, from above down. {each}{given}"


def _draw(
    axes: Any, corner: tuple[int, int], step: BuildStep, letters: int, *, is_last: bool
) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only drawing needs it

    x, y = corner
    is_failed = step.cache == MISS and not step.image
    axes.add_patch(
        FancyBboxPatch(
            (x + GAP, y + 0.04),
            1 - 2 * GAP,
            0.76,
            boxstyle="round,pad=0,rounding_size=0.03",
            facecolor=FACES[step.cache],
            edgecolor=EDGES[step.cache],
            linewidth=2.2 if step.cache == MISS else 1,
        )
    )
    middle: Any = {"ha": "center", "va": "center", "parse_math": False}
    words = _wrapped(step.words, letters)
    axes.text(x + 0.5, y + 0.2, words, fontsize=7.5, family="monospace", **middle)
    state = "failed" if is_failed else WORDS[step.cache]
    took = f", {step.took_s:.1f} s" if step.cache == MISS else ""
    bold: Any = {"fontweight": "bold", "color": INKS[step.cache]}
    axes.text(x + 0.5, y + 0.46, state + took, fontsize=8.5, **bold, **middle)
    if step.cache == MISS:
        why = _wrapped(step.why.partition(";")[0], round(letters * NARROWER))
        axes.text(x + 0.5, y + 0.66, why, fontsize=7.5, color=style.INK, **middle)
    if not is_last:
        axes.annotate(
            "",
            (x + 0.5, y + 1.02),
            xytext=(x + 0.5, y + 0.82),
            arrowprops={"arrowstyle": "-|>", "color": style.QUIET},
        )


def _wrapped(words: str, letters: int) -> str:
    """Wrap into two lines at most."""
    lines = textwrap.wrap(words, letters)
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")
