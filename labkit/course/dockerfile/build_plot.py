"""The picture of builds: a chain of steps each, with what the cache gave and what was made."""

import textwrap
from typing import Any

from labkit.course.dockerfile.build_graph import GIVEN, HIT, MISS, Build, Builds, BuildStep
from labkit.course.figures import style
from labkit.course.figures.figure import Figure

GAP = 0.06
LETTERS_A_FIGURE = 108
"""How many letters would fit beside each other in the whole picture."""
NARROWER = 1.35
"""So many letters of a sentence take the room of one letter of code."""
WORDS = {HIT: "from the cache", MISS: "made", GIVEN: "there already"}
FACES = {HIT: "#DDEFED", MISS: "#F7E0E7", GIVEN: "#F3F5F7"}
EDGES = {HIT: style.colour(2), MISS: style.colour(1), GIVEN: style.QUIET}
INKS = {HIT: style.readable(2), MISS: style.readable(1), GIVEN: style.QUIET}


def plot_builds(result: Builds) -> Figure:
    """A column a build; a thick edge is a step that was made."""
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
            for row, step in enumerate(one.steps):
                _draw(axes, (column, row), step, letters, is_last=step is one.steps[-1])
        style.headline(drawing, _finding(builds[-1]), "green: cache, red: made")
    return Figure(drawing, alt=_alt(result), table=result.table())


def _finding(last: Build) -> str:
    hits, misses = (last.caches().count(one) for one in (HIT, MISS))
    return f"{last.title}: {hits} from the cache, {misses} made"


def _alt(result: Builds) -> str:
    each = " ".join(
        f"{one.title}: "
        + ", ".join(f"{step.words} – {WORDS[step.cache]}" for step in one.steps)
        + (f"; it failed: {one.error}." if one.error else ".")
        for one in result.builds
    )
    return f"The steps of {len(result.builds)} builds, from above down. {each}"


def _draw(
    axes: Any, corner: tuple[int, int], step: BuildStep, letters: int, *, is_last: bool
) -> None:
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only for who draws

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
    """In two lines at the most."""
    lines = textwrap.wrap(words, letters)
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")
