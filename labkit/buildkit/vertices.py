"""A build's steps under BuildKit's names, and their states: from events to the client's terminal.

`[builder 2/4] RUN make` is the second of four steps of the stage `builder`: steps are instructions
that make files, FROM, RUN, COPY, ADD and WORKDIR; an instruction that only changes the config has
no line.  Source: buildkit's frontend/dockerfile/dockerfile2llb/convert.go (`prefixCommand`).
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.build import events
from labkit.build.base_images import shown_name
from labkit.build.builder import Build
from labkit.build.events import Step
from labkit.buildkit import failures
from labkit.buildkit.messages import Timestamp, Vertex, VertexStatus
from labkit.buildkit.progress import Progress, now
from labkit.images.models import SCRATCH

WITH_FILES = frozenset({"ADD", "COPY", "RUN", "WORKDIR"})
_DONE = frozenset({"Pull complete", "Already exists", "Download complete"})


class Vertices:
    """The steps of one build request; names in it are as unique as digests."""

    def __init__(self, progress: Progress, prefix: str) -> None:
        """`prefix` separates the steps of this build from those of another."""
        self._progress = progress
        self._prefix = prefix
        self._lock = threading.Lock()
        self._open: dict[str, Vertex] = {}

    def digest(self, key: str) -> str:
        """Return a step's name in the protocol."""
        return f"sha256:{hashlib.sha256(f'{self._prefix} {key}'.encode()).hexdigest()}"

    def know(self, key: str, name: str) -> None:
        """Note a step that has not begun."""
        self._progress.vertex(Vertex(self.digest(key), [], name))

    def begin(self, key: str, name: str) -> None:
        """Note that a step begins."""
        vertex = Vertex(self.digest(key), [], name, started=now())
        with self._lock:
            self._open[key] = vertex
        self._progress.vertex(vertex)

    def cached(self, key: str) -> None:
        """Note that a step is taken from an earlier build."""
        with self._lock:
            vertex = self._open.get(key)
            if vertex is not None:
                vertex.cached = True

    def end(self, key: str, error: str = "") -> None:
        """Note that a step is done, or has failed."""
        with self._lock:
            vertex = self._open.pop(key, None)
        if vertex is not None:
            ended = Vertex(
                vertex.digest, [], vertex.name, vertex.cached, vertex.started, now(), error
            )
            self._progress.vertex(ended)

    def log(self, key: str, stream: int, data: bytes) -> None:
        """Note output of a step."""
        self._progress.log(self.digest(key), stream, data)

    def part(
        self,
        key: str,
        name: str,
        started: Timestamp,
        *,
        current: int = 0,
        total: int = 0,
        is_done: bool = False,
    ) -> None:
        """Note the progress of a part of a step, in bytes."""
        moment = now()
        self._progress.status(
            VertexStatus(
                name,
                self.digest(key),
                name,
                current,
                total,
                moment,
                started,
                moment if is_done else None,
            )
        )

    @contextmanager
    def step(self, name: str) -> Iterator[str]:
        """A step that is just this block; yields its key."""
        self.begin(name, name)
        try:
            yield name
        except Exception as error:
            self.end(name, _said(error))
            raise
        self.end(name)


class Teller:
    """Takes a build's events, and shows them as steps."""

    def __init__(self, vertices: Vertices, platform: str = "") -> None:
        """`platform` is written before each step if there are builds for several."""
        self._vertices = vertices
        self._platform = f"{platform} " if platform else ""
        self._names: dict[tuple[int, int], str] = {}
        """The text before each step's instruction, for steps with a line."""
        self._pulling: dict[int, str] = {}
        self._parts: dict[str, Timestamp] = {}

    def know(self, build: Build) -> None:
        """Note the steps of a build, the last one first, as BuildKit does."""
        for number, steps in build.steps.items():
            self._number(build, number, steps)
        for steps in reversed(build.steps.values()):
            for step in reversed(steps):
                if name := self._name(step, step.instruction.original):
                    self._vertices.know(_key(step), name)

    def _number(self, build: Build, number: int, steps: list[Step]) -> None:
        node = build.nodes[number]
        stages = build.dockerfile.stages
        has_mounts = any(step.instruction.flag("mount") for step in steps)
        stage = ""
        if len(stages) > 1 or has_mounts:
            stage = f"{node.stage.name or f'stage-{number}'} "
        shown = [step for step in steps if step.instruction.name in WITH_FILES]
        if node.base_stage is None and node.base != SCRATCH:
            shown.insert(0, steps[0])
            self._names[number, -1] = shown_name(build.bases.meaning(node.base))
        width = len(str(len(shown)))
        for index, step in enumerate(shown, 1):
            self._names[number, step.place] = (
                f"[{self._platform}{stage}{index:>{width}}/{len(shown)}] "
            )

    def _name(self, step: Step, shown: str) -> str:
        before = self._names.get((step.stage, step.place))
        if before is None:
            return ""
        if step.place == 0:
            return f"{before}FROM {self._names[step.stage, -1]}"
        name, _, rest = shown.partition(" ")
        return f"{before}{name.upper()} {rest}"

    def take(self, event: events.Event) -> None:
        """Show an event."""
        match event:
            case events.Begun(step, shown):
                if name := self._name(step, shown):
                    self._vertices.begin(_key(step), name)
            case events.Cached(step):
                self._vertices.cached(_key(step))
            case events.Printed(step, stream, data):
                self._vertices.log(_key(step), stream, data)
            case events.Ended(step, error):
                self._vertices.end(_key(step), _said(error))
            case events.Resolving(name):
                key = f"[internal] load metadata for {name}"
                self._pulling[threading.get_ident()] = key
                self._vertices.begin(key, key)
            case events.Resolved(name, error):
                self._vertices.end(f"[internal] load metadata for {name}", _said(error))
            case events.Pulled(message):
                self._pulled(message)

    def _pulled(self, message: dict[str, object]) -> None:
        """Note news of a layer's pull: `{"status":…, "id":…, "progressDetail":…}`."""
        key, part = self._pulling.get(threading.get_ident()), message.get("id")
        if key is None or not isinstance(part, str):
            return
        detail = message.get("progressDetail")
        known = detail if isinstance(detail, dict) else {}
        self._vertices.part(
            key,
            part,
            self._parts.setdefault(part, now()),
            current=int(known.get("current") or 0),
            total=int(known.get("total") or 0),
            is_done=message.get("status") in _DONE,
        )


def _key(step: Step) -> str:
    return f"{step.stage}/{step.place}"


def _said(error: Exception | None) -> str:
    return "" if error is None else failures.message(error) or type(error).__name__
