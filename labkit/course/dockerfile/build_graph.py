"""Builds step by step: which steps the cache gave, which were made and why, and what each added.

The words are the engine's own, from `labkit build --explain-cache`.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.client.sizes import human_size
from labkit.course.figures.figure import Figure
from labkit.course.figures.table import Table
from labkit.course.page.lab import connect

HIT, MISS, GIVEN = "hit", "miss", ""
"""What the cache had for a step; FROM asks it for nothing."""
UNCOUNTED = ("Image", "Hostname")
"""Fields of a configuration that are about the build, and not about a container."""
SAYS = "labkit: "
"""How the command begins what it says of its own failure."""
_STEP = re.compile(r"Step (\d+)/\d+ : (.*)")
_CACHE = re.compile(r" ---> Cache (hit|miss): (.*)")
_ENDS = ("Removing intermediate container", "Successfully ")
_IMAGE = re.compile(r" ---> ([0-9a-f]{12})$")


@dataclass(frozen=True)
class BuildStep:
    """One instruction: `cache` is HIT, MISS or GIVEN, `image` the short id of what came out."""

    number: int
    words: str
    cache: str = GIVEN
    why: str = ""
    took_s: float = 0.0
    image: str = ""
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Build:
    """A build that is over.  `error` is why it failed, empty if it did not."""

    title: str
    steps: tuple[BuildStep, ...]
    took_s: float
    error: str = ""

    def caches(self) -> list[str]:
        """HIT or MISS of each step that asked the cache."""
        return [step.cache for step in self.steps if step.cache]

    def effects(self) -> Table:
        """What each instruction has added: files (a layer), and fields of the configuration."""
        images = [connect().images.get(step.image).attrs for step in self.steps]
        return effects(self.steps, images)


@dataclass(frozen=True)
class Builds:
    """Builds of the same thing, one after the other."""

    builds: Sequence[Build] = field(default_factory=tuple)

    def table(self) -> Table:
        """A row a step of each build."""
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
        """Draw them beside each other, each a chain from its FROM down."""
        from labkit.course.dockerfile.build_plot import plot_builds  # noqa: PLC0415 only for who draws

        return plot_builds(self)


def build(folder: str, *, title: str = "", tag: str = "", options: Sequence[str] = ()) -> Build:
    """Build a folder with `labkit build --explain-cache`; a failed build is a result as well."""
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
    """The steps in a build's lines, each line with the time at which it came."""
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
    """Each step's image compared with the one before; `images` are as `inspect` shows them."""
    rows = []
    for step, before, after in zip(steps[1:], images, images[1:], strict=False):
        layers = len(after["RootFS"]["Layers"]) - len(before["RootFS"]["Layers"])
        files = human_size(after["Size"] - before["Size"]) if layers else "–"
        rows.append((step.words, files, changes(_fields(before), _fields(after)) or "–"))
    return Table(("instruction", "layer of files", "in the configuration"), tuple(rows))


def _fields(image: dict[str, Any]) -> dict[str, Any]:
    """An image's author, and what it says of its containers."""
    return {"Author": image.get("Author", ""), **image["Config"]}


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The fields that differ, with what they are afterwards: `User=nobody`."""
    return ", ".join(
        f"{name}={_new(before.get(name), value)}"
        for name, value in after.items()
        if name not in UNCOUNTED and (value or before.get(name)) and value != before.get(name)
    )


def _new(before: Any, after: Any) -> str:
    """What is new in a value; of a list or a mapping only what was not there."""
    if isinstance(after, dict):
        new = {name: value for name, value in after.items() if name not in (before or {})}
        return ", ".join(f"{name}={value}" if value else name for name, value in new.items())
    if isinstance(after, list):
        return " ".join(str(one) for one in after if one not in (before or ()))
    return str(after)
