"""Builds by command: one from the cache, and one whose every step runs."""

import os

from bench.engines import IMAGE
from bench.running import OfEngine

CACHED_STEPS = 20
RUN_STEPS = 10


class CachedBuild(OfEngine):
    """`build` of twenty cached steps: RUN, COPY, ENV, LABEL by turns."""

    what = "cached build"

    def setup(self, folder: str) -> None:
        super().setup(folder)
        with open(f"{folder}/file", "w") as file:
            file.write("content\n")
        steps = ("RUN echo {0} > /r{0}", "COPY file /c{0}", "ENV E{0}=1", "LABEL l{0}=1")
        lines = [steps[number % 4].format(number) for number in range(CACHED_STEPS - 1)]
        _write_dockerfile(folder, lines)
        self._words = ("build", "--network", "none", "-t", "bench-cached", folder)
        self.run_once()

    def run_once(self) -> None:
        self._engine.run_program(*self._words)


class RunBuild(OfEngine):
    """`build --no-cache` of ten times `RUN true`."""

    what = "RUN build"

    def setup(self, folder: str) -> None:
        super().setup(folder)
        _write_dockerfile(folder, ["RUN true"] * RUN_STEPS)
        words = ("build", "--network", "none", "--no-cache", "-t", "bench-run", folder)
        self._words = words

    def run_once(self) -> None:
        self._engine.run_program(*self._words)


def _write_dockerfile(folder: str, lines: list[str]) -> None:
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/Dockerfile", "w") as file:
        file.write("\n".join([f"FROM {IMAGE}", *lines, ""]))
