"""Demo 05: the started program, for each form of ENTRYPOINT and CMD, and words of `run`."""

from pathlib import Path

from labkit.course.demos.canvas import AMBER, CALM, CRIMSON, NAVY, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Choice
from labkit.course.demos.demo import Demo
from labkit.course.dockerfile import starts
from labkit.course.dockerfile.build_graph import build
from labkit.course.dockerfile.starts import Case, Word, argv_of, dockerfile_of
from labkit.course.page.scratch import scratch
from labkit.errors import InvalidParameterError, LabkitError, NotFoundError

FORMS = (starts.EXEC, starts.SHELL, starts.NONE)
FACES = {starts.ENTRY: NAVY, starts.CMD: TEAL, starts.WORDS: CRIMSON, starts.ADDED: AMBER}
NAMES = {
    starts.ENTRY: "from ENTRYPOINT",
    starts.CMD: "from CMD",
    starts.WORDS: "from the words of run",
    starts.ADDED: "added by the shell form",
}
WITHOUT, WITH = "none", "echo words"
IMAGE = "labkit-demo-starts"


class WordsDemo(Demo):
    """Three choices, and the list of words that became process 1."""

    number = "05"
    title = "CMD × ENTRYPOINT × words"
    say = "ENTRYPOINT's words come first; then those of run, or else CMD's."
    surprise = (
        "ENTRYPOINT in the shell form swallows both: sh -c takes one word and ignores the rest."
    )
    controls = (
        Choice("entrypoint", "ENTRYPOINT", FORMS),
        Choice("cmd", "CMD", FORMS),
        Choice("words", "words of docker run", (WITHOUT, WITH)),
    )

    def begin(self) -> None:
        """Build and run the first case."""
        self._built: dict[str, str] = {}
        self.keep(self._forget)
        self._start()

    def act(self, key: str) -> None:
        """Run the case that is chosen now; its image is built once."""
        self._start()

    @property
    def case(self) -> Case:
        """Return the chosen case."""
        words = self.values["words"] == WITH
        return Case(str(self.values["entrypoint"]), str(self.values["cmd"]), words)

    def draw(self) -> Canvas:
        """The Dockerfile, the command, what was started word for word, and what it printed."""
        case, expected = self.case, argv_of(self.case)
        argv = [word.text for word in expected]
        is_right = [*self._started] == argv
        canvas = Canvas(
            f"{' '.join(argv) or starts.NOTHING}; printed: {self._printed or 'nothing'}."
        )
        canvas.words((10, 30), "Dockerfile", ink=QUIET)
        for row, line in enumerate(dockerfile_of(case.entrypoint, case.cmd).splitlines()):
            canvas.words((10, 64 + 32 * row), line, code=True)
        said = f"docker run demo {'echo words' if case.has_words else ''}"
        canvas.words((10, 190), said, code=True, bold=True)
        canvas.words((10, 236), "started, word for word" if argv else "refused", ink=QUIET)
        x = 10.0
        for word in expected if is_right else [Word(one, starts.ADDED) for one in self._started]:
            width = 34 + 14.5 * len(word.text)
            canvas.box((x, 252), (width, 62), word.text, face=FACES[word.origin], code=True)
            x += width + 10
        if not argv:
            canvas.box((10, 252), (420, 62), starts.NOTHING, face=CALM)
        for row, origin in enumerate(dict.fromkeys(word.origin for word in expected)):
            canvas.box((450 * (row % 2) + 10, 334 + 40 * (row // 2)), (28, 28), face=FACES[origin])
            canvas.words((450 * (row % 2) + 50, 356 + 40 * (row // 2)), NAMES[origin])
        canvas.words((10, 450), "printed", ink=QUIET)
        canvas.words((10, 488), self._printed or "nothing", code=True, bold=True, size=26)
        return canvas

    def _start(self) -> None:
        case = self.case
        self._started: tuple[str, ...] = ()
        self._printed = ""
        words = ["echo", "words"] if case.has_words else None
        try:
            box = self.crew.hire_plain("starts", words, self._image(case))
        except InvalidParameterError:
            return  # there is nothing to start: that is the finding
        box.wait()
        box.reload()
        self._started = (box.attrs["Path"], *box.attrs["Args"])
        self._printed = box.logs().decode().strip()
        box.remove()

    def _image(self, case: Case) -> str:
        tag = f"{IMAGE}:{case.entrypoint}-{case.cmd}".replace(" form", "")
        if tag not in self._built:
            with scratch("demo") as folder:
                Path(folder, "Dockerfile").write_text(dockerfile_of(case.entrypoint, case.cmd))
                built = build(folder, tag=tag)
            if built.error:
                raise LabkitError(f"{tag} could not be built: {built.error}")
            self._built[tag] = tag
        return tag

    def _forget(self) -> None:
        for tag in self._built:
            try:
                self.client.images.remove(tag, force=True)
            except NotFoundError:
                continue
