"""What a learner could do at an exercise: the way that solves it, and ways that do not.

They are here and not in the installed package: there a learner's Tab key would find them.
"""

import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import NamedTuple

from labkit.course.exercises.drawing import Values
from labkit.course.exercises.place import Place
from tests.lab import Lab

Way = Callable[["Bench"], None]


class Bench:
    """A lab with an exercise on it; `v` are its drawn values."""

    def __init__(self, lab: Lab, place: Place, values: Values) -> None:
        self.lab, self.place, self.v = lab, place, values
        self.lab_processes: list[subprocess.Popen[bytes]] = []
        """The processes that a way has started on the host: killed at the end."""

    def close(self) -> None:
        for process in self.lab_processes:
            process.kill()
            process.wait()

    def docker(self, command: str, *, check: bool = True) -> str:
        """Run a docker command, with the drawn values put in; return its output."""
        words = shlex.split(command.format_map(dict(self.v) | {"disk": self.place.disk}))
        done = self.lab.cli(*words, check=False)
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return str(done.stdout)


def docker(*commands: str) -> Way:
    """A way of docker commands alone, in which `{name}` stands for a drawn value."""

    def way(bench: Bench) -> None:
        for command in commands:
            bench.docker(command)

    way.commands = commands  # type: ignore[attr-defined]
    return way


class Wrong(NamedTuple):
    """A way that does not solve it: its points, and a part of the hint that it must get."""

    way: Way
    points: int
    hint: str


class Attempts(NamedTuple):
    solve: Way
    wrong: Mapping[str, Wrong]
