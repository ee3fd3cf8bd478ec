"""The command of a container: every form of ENTRYPOINT with every form of CMD and words of `run`.

Each program is `echo`, which prints its arguments: so the output shows which program was started
with which arguments.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.client import Client
from labkit.course.dockerfile.build_graph import build
from labkit.course.figures import style
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.course.page.scratch import scratch
from labkit.errors import InvalidParameterError, LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

NONE, EXEC, SHELL = "none", "exec form", "shell form"
FORMS = (NONE, EXEC, SHELL)
ENTRY, CMD, WORDS = "entry", "cmd", "words"
"""The origins of a word of the command; also the word that each echo prints."""
ADDED = "the shell form"
"""The fourth origin: a shell that the engine adds in front."""
NOTHING = "nothing to start"
SIDE_BY_SIDE = 4
IMAGE = "labkit-course-starts"


class Word(NamedTuple):
    """A word of the started command, and its origin."""

    text: str
    origin: str


class Case(NamedTuple):
    """One image, by the forms of its two instructions, and whether `run` adds words."""

    entrypoint: str
    cmd: str
    has_words: bool


class Start(NamedTuple):
    """The command and the output of one `docker run`; both are empty if it was refused."""

    case: Case
    argv: tuple[str, ...]
    printed: str


CASES = tuple(Case(*case) for case in product(FORMS, FORMS, (False, True)))


def argv_of(case: Case) -> tuple[Word, ...]:
    """Apply the rule: ENTRYPOINT's words, then those of `run` or, without these, CMD's."""
    return (
        *_form(case.entrypoint, ENTRY),
        *(_form(EXEC, WORDS) if case.has_words else _form(case.cmd, CMD)),
    )


def printed_by(argv: tuple[Word, ...]) -> str:
    """The expected output: echo prints all its arguments, a shell runs only its one word."""
    texts = [word.text for word in argv]
    if texts[:1] == ["/bin/sh"]:
        return texts[2].removeprefix("echo ")
    return " ".join(texts[1:])


def _form(form: str, origin: str) -> tuple[Word, ...]:
    """The words of an instruction in a form, for the program that echoes its origin."""
    words = {
        NONE: (),
        EXEC: (("echo", origin), (origin, origin)),
        SHELL: (("/bin/sh", ADDED), ("-c", ADDED), (f"echo {origin}", origin)),
    }
    return tuple(Word(*word) for word in words[form])


def dockerfile_of(entrypoint: str, cmd: str) -> str:
    """The image's Dockerfile.  `CMD []` removes the one of busybox."""
    entry = {
        NONE: "",
        EXEC: f'ENTRYPOINT ["echo", "{ENTRY}"]\n',
        SHELL: f"ENTRYPOINT echo {ENTRY}\n",
    }
    command = {NONE: "[]", EXEC: f'["echo", "{CMD}"]', SHELL: f"echo {CMD}"}
    return f"FROM busybox\n{entry[entrypoint]}CMD {command[cmd]}\n"


@dataclass(frozen=True)
class Starts:
    """The result of `starts`, in the order of CASES."""

    rows: tuple[Start, ...]

    def of(self, entrypoint: str, cmd: str, *, has_words: bool) -> Start:
        """The start of one case."""
        case = Case(entrypoint, cmd, has_words)
        return next(row for row in self.rows if row.case == case)

    @property
    def holds(self) -> bool:
        """Whether the rule of `argv_of` predicted every command and output."""
        return all(
            row.argv == tuple(word.text for word in argv_of(row.case))
            and row.printed == printed_by(argv_of(row.case))
            for row in self.rows
        )

    def table(self) -> Table:
        """A row for each run."""
        return Table(
            ("ENTRYPOINT", "CMD", "words of run", "started", "printed", "expected"),
            tuple(
                (
                    row.case.entrypoint,
                    row.case.cmd,
                    "echo words" if row.case.has_words else NONE,
                    _quoted(row.argv) or NOTHING,
                    row.printed or NOTHING,
                    printed_by(argv_of(row.case)) or NOTHING,
                )
                for row in self.rows
            ),
        )

    def plot(self) -> "Figure":
        """Draw a field for each run, with each word in the colour of its origin."""
        return plot_starts(self)


def _quoted(argv: tuple[str, ...]) -> str:
    return " ".join(f"'{word}'" if " " in word else word for word in argv)


def starts(*, client: Client | None = None) -> Starts:
    """Build the nine images, run each without and with words, and remove them again."""
    client = client or connect()
    with (
        _images(client),
        Crew(client, "starts", lifetime_s=60) as crew,
        ThreadPoolExecutor(SIDE_BY_SIDE) as pool,
    ):
        rows = tuple(pool.map(lambda case: _run(crew, case), CASES))
    return Starts(rows)


def _tag(entrypoint: str, cmd: str) -> str:
    return f"{IMAGE}:{entrypoint}-{cmd}".replace(" form", "")


@contextmanager
def _images(client: Client) -> Iterator[None]:
    pairs = list(product(FORMS, FORMS))
    made: list[str] = []
    with scratch("starts") as folder:

        def make(pair: tuple[str, str]) -> None:
            tag = _tag(*pair)
            place = Path(folder, tag.partition(":")[2])
            place.mkdir()
            (place / "Dockerfile").write_text(dockerfile_of(*pair))
            built = build(str(place), tag=tag)
            if built.error:
                raise LabkitError(f"{tag} could not be built: {built.error}")
            made.append(tag)

        try:
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                list(pool.map(make, pairs))
            yield
        finally:
            for tag in made:
                client.images.remove(tag, force=True)


def _run(crew: Crew, case: Case) -> Start:
    words = [word.text for word in _form(EXEC, WORDS)] if case.has_words else None
    try:
        container = crew.hire_plain("start", words, _tag(case.entrypoint, case.cmd))
    except InvalidParameterError:
        return Start(case, (), "")
    container.wait()
    container.reload()
    argv = (container.attrs["Path"], *container.attrs["Args"])
    return Start(case, argv, container.logs().decode().strip())


# The picture of `starts`: a field for each run, each word in the colour of its origin.


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
"""The width of a letter of DejaVu Sans Mono: 0.602 of its size of 7.8 points."""
LETTERS = 27
PROGRAMS = ("echo", "/bin/sh")
LINE_IN = 0.145


def plot_starts(result: Starts) -> Figure:
    """Draw ENTRYPOINT's forms from top to bottom, CMD's from left to right, two runs in each."""
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
    """Draw one image: above, its run without words; below, the run with words."""
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415 only drawing needs it

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
    """The started command, each word with the origin by the rule; quoted as in a shell."""
    expected = argv_of(start.case)
    origins = [word.origin for word in expected] + [ADDED] * len(start.argv)
    return [
        Word(f"'{text}'" if " " in text else text, origin)
        for text, origin in zip(start.argv, origins, strict=False)
    ]


def _lines(words: Sequence[Word]) -> Iterator[list[Word]]:
    """One line if all words fit on it, or else one line for each program in the command."""
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
    """Write letters of one width, in the colour of the word's origin."""
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
