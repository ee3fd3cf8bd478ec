"""The picture of `starts`: a field for every run, each word in the colour of its origin."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from labkit.course.dockerfile.starts import (
    ADDED,
    CMD,
    ENTRY,
    EXEC,
    FORMS,
    NONE,
    NOTHING,
    SHELL,
    WORDS,
    Case,
    Start,
    Starts,
    Word,
    argv_of,
)
from labkit.course.figures import style
from labkit.course.figures.figure import Figure

INKS = {
    ENTRY: style.readable(0),
    CMD: style.readable(2),
    WORDS: style.readable(1),
    ADDED: style.QUIET,
}
TITLES = {
    ENTRY: {
        NONE: "no ENTRYPOINT",
        EXEC: 'ENTRYPOINT\n["echo", "entry"]',
        SHELL: "ENTRYPOINT\necho entry",
    },
    CMD: {NONE: "no CMD", EXEC: 'CMD ["echo", "cmd"]', SHELL: "CMD echo cmd"},
}
LEFT_IN, COLUMN_IN, HEAD_IN, ROW_IN = 1.45, 2.03, 0.84, 0.62
LETTER_IN = 7.8 * 0.602 / 72
"""How wide a letter of DejaVu Sans Mono is: 0.602 of the size, 7.8 points."""
LETTERS = 27
PROGRAMS = ("echo", "/bin/sh")
LINE_IN = 0.145


def plot_starts(result: Starts) -> Figure:
    """ENTRYPOINT's forms from above down, CMD's from left to right; each without and with words."""
    height_in = HEAD_IN + 2 * len(FORMS) * ROW_IN + 0.42
    with style.picture(height_in) as drawing:
        drawing.set_layout_engine("none")
        axes = drawing.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, style.WIDTH_IN), ylim=(height_in, 0))
        axes.set_axis_off()
        for column, form in enumerate(FORMS):
            x = LEFT_IN + COLUMN_IN * (column + 0.5) - 0.05
            _mono(axes, x, HEAD_IN - 0.14, Word(TITLES[CMD][form], CMD), ha="center")
        for row, form in enumerate(FORMS):
            y = HEAD_IN + 2 * row * ROW_IN
            _mono(axes, 0.1, y + ROW_IN - 0.04, Word(TITLES[ENTRY][form], ENTRY))
            for column, cmd in enumerate(FORMS):
                corner = (LEFT_IN + column * COLUMN_IN, y)
                pair = [result.of(form, cmd, has_words=given) for given in (False, True)]
                _field(axes, corner, pair)
        _legend(axes, height_in - 0.2)
        style.headline(
            drawing, "Words of run replace CMD; an ENTRYPOINT in shell form ignores both"
        )
    return Figure(drawing, alt=_alt(result), table=result.table())


def _field(axes: Any, corner: tuple[float, float], pair: Sequence[Start]) -> None:
    """One image: above its run without words, below the one with."""
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only for who draws

    x, y = corner
    axes.add_patch(
        FancyBboxPatch(
            (x, y + 0.04),
            COLUMN_IN - 0.1,
            2 * ROW_IN - 0.08,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="#F3F5F7",
            edgecolor=style.GRID,
        )
    )
    axes.plot([x + 0.08, x + COLUMN_IN - 0.18], [y + ROW_IN] * 2, color="#CDD3DA", linewidth=0.8)
    for line, start in enumerate(pair):
        _start(axes, (x + 0.09, y + line * ROW_IN + 0.06), start)


def _start(axes: Any, corner: tuple[float, float], start: Start) -> None:
    x, y = corner
    if not start.argv:
        _plain(axes, x, y + ROW_IN / 2 - 0.06, f"refused: {NOTHING}", style.readable(1))
        return
    lines = list(_lines(words_of(start)))
    y += (ROW_IN - 0.12 - LINE_IN * (len(lines) + 1)) / 2 + LINE_IN / 2
    for number, line in enumerate(lines):
        at = 0
        for word in line:
            _mono(axes, x + at * LETTER_IN, y + number * LINE_IN, word)
            at += len(word.text) + 1
    _plain(axes, x, y + len(lines) * LINE_IN, f"prints: {start.printed}", style.INK)


def words_of(start: Start) -> list[Word]:
    """What was started, each word with the origin that the rule says; quoted as in a shell."""
    expected = argv_of(start.case)
    origins = [word.origin for word in expected] + [ADDED] * len(start.argv)
    return [
        Word(f"'{text}'" if " " in text else text, origin)
        for text, origin in zip(start.argv, origins, strict=False)
    ]


def _lines(words: Sequence[Word]) -> Iterator[list[Word]]:
    """One line if all fit on it, or else one for each program that is named."""
    if len(" ".join(word.text for word in words)) <= LETTERS:
        yield list(words)
        return
    begins = [at for at, word in enumerate(words) if word.text in PROGRAMS] + [len(words)]
    for begin, end in itertools.pairwise(begins):
        yield list(words[begin:end])


def _legend(axes: Any, y: float) -> None:
    x = LEFT_IN
    for origin, text in (
        (ENTRY, "from ENTRYPOINT"),
        (CMD, "from CMD"),
        (WORDS, "words of docker run"),
        (ADDED, "put in front by the shell form"),
    ):
        axes.text(x, y, text, color=INKS[origin], fontsize=8.5, fontweight="bold", va="center")
        x += 0.32 + len(text) * 0.073
    above, below = "above: docker run IMAGE", "below: docker run IMAGE echo words"
    note = f"{above}     {below}"
    axes.text(LEFT_IN, HEAD_IN - 0.36, note, color=style.QUIET, fontsize=8.5, va="center")


def _mono(axes: Any, x: float, y: float, word: Word, ha: str = "left") -> None:
    """Letters of one width, in the colour of the word's origin."""
    look: Any = {"fontsize": 7.8, "family": "DejaVu Sans Mono", "fontweight": "bold"}
    axes.text(x, y, word.text, color=INKS[word.origin], ha=ha, va="center", **look)


def _plain(axes: Any, x: float, y: float, text: str, ink: str) -> None:
    axes.text(x, y, text, color=ink, fontsize=7.8, va="center")


def _alt(result: Starts) -> str:
    def words(case: Case) -> str:
        run = "with words" if case.has_words else "without words"
        return f"ENTRYPOINT {case.entrypoint}, CMD {case.cmd}, {run}"

    each = "; ".join(f"{words(row.case)}: {row.printed or NOTHING}" for row in result.rows)
    return f"A grid of what {len(result.rows)} containers printed. {each}."
