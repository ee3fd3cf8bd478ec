"""What starts: every form of ENTRYPOINT with every form of CMD, with and without words of `run`.

Each program is `echo`, which prints the words it was given: so what is printed tells what was
started with what.
"""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labkit.client import Client
from labkit.course.dockerfile.build_graph import build
from labkit.course.figures.table import Table
from labkit.course.page.crew import Crew
from labkit.course.page.lab import connect
from labkit.errors import InvalidParameterError, LabkitError

if TYPE_CHECKING:
    from labkit.course.figures.figure import Figure

NONE, EXEC, SHELL = "none", "exec form", "shell form"
FORMS = (NONE, EXEC, SHELL)
ENTRY, CMD, WORDS = "entry", "cmd", "words"
"""Where a word of the program comes from; also what each of the three echoes."""
ADDED = "the shell form"
"""The fourth origin: the engine puts a shell in front."""
NOTHING = "nothing to start"
SIDE_BY_SIDE = 4
IMAGE = "labkit-course-starts"


class Word(NamedTuple):
    """A word of what is started, and where it comes from."""

    text: str
    origin: str


class Case(NamedTuple):
    """One image, by the forms of its two instructions, and whether `run` gets words."""

    entrypoint: str
    cmd: str
    has_words: bool


class Start(NamedTuple):
    """What one `docker run` has started and printed; both empty if it was refused."""

    case: Case
    argv: tuple[str, ...]
    printed: str


CASES = tuple(Case(*case) for case in product(FORMS, FORMS, (False, True)))


def argv_of(case: Case) -> tuple[Word, ...]:
    """The rule: ENTRYPOINT's words, then those of `run` or else CMD's."""
    return (
        *_form(case.entrypoint, ENTRY),
        *(_form(EXEC, WORDS) if case.has_words else _form(case.cmd, CMD)),
    )


def printed_by(argv: tuple[Word, ...]) -> str:
    """What must be printed: echo prints all that follows, a shell only what its one word says."""
    texts = [word.text for word in argv]
    if texts[:1] == ["/bin/sh"]:
        return texts[2].removeprefix("echo ")
    return " ".join(texts[1:])


def _form(form: str, origin: str) -> tuple[Word, ...]:
    """What a form makes of an instruction that echoes the name of its origin."""
    words = {
        NONE: (),
        EXEC: (("echo", origin), (origin, origin)),
        SHELL: (("/bin/sh", ADDED), ("-c", ADDED), (f"echo {origin}", origin)),
    }
    return tuple(Word(*word) for word in words[form])


def dockerfile_of(entrypoint: str, cmd: str) -> str:
    """The image's Dockerfile.  `CMD []` takes away the one that busybox has."""
    entry = {
        NONE: "",
        EXEC: f'ENTRYPOINT ["echo", "{ENTRY}"]\n',
        SHELL: f"ENTRYPOINT echo {ENTRY}\n",
    }
    command = {NONE: "[]", EXEC: f'["echo", "{CMD}"]', SHELL: f"echo {CMD}"}
    return f"FROM busybox\n{entry[entrypoint]}CMD {command[cmd]}\n"


@dataclass(frozen=True)
class Starts:
    """What `starts` found, in the order of CASES."""

    rows: tuple[Start, ...]

    def of(self, entrypoint: str, cmd: str, *, has_words: bool) -> Start:
        """The start of one case."""
        case = Case(entrypoint, cmd, has_words)
        return next(row for row in self.rows if row.case == case)

    @property
    def holds(self) -> bool:
        """Whether the rule of `argv_of` has said all of it before."""
        return all(
            row.argv == tuple(word.text for word in argv_of(row.case))
            and row.printed == printed_by(argv_of(row.case))
            for row in self.rows
        )

    def table(self) -> Table:
        """A row for every run."""
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
        """A field for every run, its words in the colour of where they come from."""
        from labkit.course.dockerfile.starts_plot import plot_starts  # noqa: PLC0415 matplotlib

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
    with tempfile.TemporaryDirectory(prefix="labkit-starts-") as folder:

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
