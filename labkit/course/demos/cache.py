"""Demo 04: which steps of a build come from the cache, after an edit, in two orders of lines."""

import secrets
from pathlib import Path

from labkit.course.demos.canvas import BAD, CALM, CRIMSON, GOOD, QUIET, TEAL, Canvas
from labkit.course.demos.controls import Choice, Press
from labkit.course.demos.demo import Demo
from labkit.course.dockerfile.build_graph import HIT, MISS, Build, build
from labkit.course.page.scratch import scratch
from labkit.errors import LabkitError, NotFoundError

EARLY, LATE = "COPY . first", "COPY . last"
INSTALL = "RUN sleep 1; echo $(cat /app/needs) > /installed"
DOCKERFILES = {
    EARLY: ("FROM busybox", "COPY . /app/", INSTALL, 'CMD ["cat", "/installed"]'),
    LATE: (
        "FROM busybox",
        "COPY needs /app/",
        INSTALL,
        "COPY . /app/",
        'CMD ["cat", "/installed"]',
    ),
}
IMAGE = "labkit-demo-cache"
WORDS = {HIT: "from the cache", MISS: "made"}
HIGH = 420.0
"""Of all lines together."""


class CacheDemo(Demo):
    """The Dockerfile as a chain: green comes from the cache, red is made again."""

    number = "04"
    title = "The build cache"
    say = "A step is taken from the cache if its line and its files are the same, and all above it."
    surprise = "Move one line, and an edit of the program no longer installs everything again."
    controls = (
        Choice("order", "the Dockerfile's order", (EARLY, LATE)),
        Press("app", "edit app.py"),
        Press("needs", "edit the file needs"),
        Press("build", "docker build"),
    )

    def begin(self) -> None:
        """Make the folder; a random word in it keeps an earlier build from being found."""
        self._folder = self.hold(scratch("demo"))
        self._edits = {"app.py": secrets.token_hex(4), "needs": secrets.token_hex(4)}
        self._build: Build | None = None
        self._edited: list[str] = []
        self._past: list[str] = []
        self._images: list[str] = []
        self.keep(self._forget)

    def act(self, key: str) -> None:
        """Edit a file, write the lines in another order, or build."""
        if key == "build":
            self._make()
            return
        name = {"app": "app.py", "needs": "needs"}.get(key, "")
        if name:
            self._edits[name] = secrets.token_hex(4)
            self._edited.append(name)
        self._build = None

    def draw(self) -> Canvas:
        """A box for each line, and the last builds' times at the bottom."""
        lines = DOCKERFILES[str(self.values["order"])]
        steps = self._build.steps if self._build else ()
        found = [f"{step.words}: {WORDS.get(step.cache, 'there')}" for step in steps]
        canvas = Canvas("; ".join(found) or f"Not built yet: {', '.join(lines)}")
        high = HIGH / len(lines) - 12
        for row, line in enumerate(lines):
            y = 6 + row * (high + 12)
            step = steps[row] if row < len(steps) else None
            cache = step.cache if step else ""
            face, edge = {HIT: (GOOD, TEAL), MISS: (BAD, CRIMSON)}.get(cache, (CALM, QUIET))
            canvas.box((10, y), (880, high), face=face, edge=edge, thick=3 if cache else 1.5)
            canvas.words((24, y + high / 2 - 6), line, code=True, bold=True, width=850)
            words = WORDS.get(cache, "there already" if step else "not built")
            took = f"{step.took_s:.1f} s" if step and cache else ""
            canvas.words((24, y + high / 2 + 24), words, ink=edge)
            canvas.words((876, y + high / 2 + 24), took, anchor="end", bold=True)
            if row:
                canvas.arrow((450, y - 12), (450, y), ink=QUIET)
        past = "   ".join(self._past[-3:])
        edited = f"edited: {', '.join(self._edited)}" if self._edited else "nothing edited"
        canvas.words((10, 458), edited, ink=CRIMSON if self._edited else QUIET)
        canvas.words((10, 502), past or "press docker build", bold=True, width=880)
        return canvas

    def _make(self) -> None:
        order = str(self.values["order"])
        Path(self._folder, "Dockerfile").write_text("\n".join(DOCKERFILES[order]) + "\n")
        for name, text in self._edits.items():
            Path(self._folder, name).write_text(f"# {text}\n")
        made = build(self._folder, tag=IMAGE)
        if made.error:
            raise LabkitError(f"the image could not be built: {made.error}")
        self._build = made
        self._images.append(made.steps[-1].image)
        edited = f"after editing {self._edited[-1]}" if self._edited else "nothing edited"
        self._past.append(f"{edited}: {made.took_s:.1f} s")
        self._edited = []

    def _forget(self) -> None:
        for image in dict.fromkeys(reversed(self._images)):
            try:
                self.client.images.remove(image, force=True)
            except NotFoundError:
                continue
