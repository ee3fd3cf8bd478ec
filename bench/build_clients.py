"""Builds by today's docker client (buildx) on each engine: only the daemon differs.

    python -m bench.build_clients --rounds 9

Every build reads 5,000 files, or passes by 200 MB that no instruction names.  The clients run in a
room of the newest system here, whatever engine they speak to.
"""

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Sequence

from bench import report, rootfs, timing
from bench.engines import IMAGE, Docker, Engine, Labkit
from bench.leftovers import clean_folder
from bench.peer import MissingPeerError, Peer, spawn_and_wait
from bench.report import Aim
from bench.rooms import Room
from bench.running import OfEngine
from bench.systems import newest

FILES = 5000
FILES_IN_FOLDER = 100
FILE_BYTES = 2000
UNUSED_BYTES = 200 << 20
PAUSE_S = 0.3
ROUNDS = 9
WARM_UP_ROUNDS = 1

STAGES = f"""\
FROM {IMAGE} AS sources
COPY . /sources
RUN sleep 0
FROM {IMAGE} AS built
COPY --from=sources /sources /built
FROM {IMAGE}
COPY --from=built /built/0/0 /one
LABEL a=1
CMD ["true"]
"""
BETWEEN_STAGES = f"""\
FROM {IMAGE} AS sources
COPY . /sources
FROM {IMAGE} AS last
COPY --from=sources /sources /copied
"""
ONE_FILE = f"FROM {IMAGE}\nCOPY used /used\n"

HEADING = """\
## Builds by docker's own client

`docker build` by buildx, the same client for both daemons: three stages over {files} files
(uncached, with one file changed, cached), a stage that takes {files} files from another, and one
small file beside {megabytes} MB that no instruction names.
"""

Progress = Callable[[str], None]


class ClientBuild(OfEngine):
    """`docker build` of a folder, through an engine's socket."""

    dockerfile = STAGES
    flags: tuple[str, ...] = ()

    def setup(self, folder: str) -> None:
        """Write the folder, and build it once."""
        super().setup(folder)
        self._room = Room(newest())
        self._room.open()
        docker = newest().find("docker")
        if docker is None:
            raise MissingPeerError("docker is not installed")
        self._context = f"{folder}/context"
        self.fill(self._context)
        self._argv = [docker, "--host", f"unix://{self._engine.socket}", "build", "--quiet"]
        self._argv += ["--network", "none", "--tag", "bench-client"]
        self._environment = {**os.environ, "DOCKER_CONFIG": f"{folder}/client"}
        self._build(())

    def fill(self, folder: str) -> None:
        """Make the files of the context."""
        for number in range(FILES):
            above, below = divmod(number, FILES_IN_FOLDER)
            os.makedirs(f"{folder}/{above}", exist_ok=True)
            with open(f"{folder}/{above}/{below}", "wb") as file:
                file.write(f"file {number}\n".encode().ljust(FILE_BYTES, b"x"))
        _write_dockerfile(folder, self.dockerfile)

    def run_once(self) -> None:
        """Build it."""
        self._build(self.flags)

    def _build(self, flags: Sequence[str]) -> None:
        argv = [*self._argv, *flags, self._context]
        if self._room.do(spawn_and_wait, argv, self._environment):
            raise MissingPeerError(f"{self.name} failed: {' '.join(argv)}")

    def teardown(self) -> None:
        """End the client's room."""
        if hasattr(self, "_room"):
            self._room.close()


class Uncached(ClientBuild):
    """Every step runs."""

    what = "uncached client build"
    flags = ("--no-cache",)


class Cached(ClientBuild):
    """No step runs."""

    what = "cached client build"


class OneChanged(ClientBuild):
    """One file differs from the last time."""

    what = "client build of a changed file"
    _versions = itertools.count()

    def prepare(self) -> None:
        """Change the file."""
        with open(f"{self._context}/7/7", "w") as file:
            file.write(f"version {next(self._versions)}\n")


class BetweenStages(ClientBuild):
    """The last stage alone runs: COPY --from of all files."""

    what = "client build of COPY --from"
    dockerfile = BETWEEN_STAGES
    flags = ("--no-cache-filter", "last")


class UnusedFiles(ClientBuild):
    """Most of the context is named by no instruction."""

    what = "client build beside unused files"
    dockerfile = ONE_FILE
    flags = ("--no-cache",)

    def fill(self, folder: str) -> None:
        """Make a small file, and a large one that nothing uses."""
        os.makedirs(folder)
        with open(f"{folder}/used", "w") as file:
            file.write("used\n")
        with open(f"{folder}/unused", "wb") as file:
            for _ in range(UNUSED_BYTES >> 20):
                file.write(os.urandom(1 << 20))
        _write_dockerfile(folder, self.dockerfile)


KINDS: tuple[type[ClientBuild], ...] = (Uncached, Cached, OneChanged, BetweenStages, UnusedFiles)
AIMS = tuple(Aim(f"labkit {kind.what}", f"docker {kind.what}", 1.0) for kind in KINDS)


def _write_dockerfile(folder: str, text: str) -> None:
    with open(f"{folder}/Dockerfile", "w") as file:
        file.write(text)


def measure(
    ready: Callable[[Sequence[Peer]], list[Peer]],
    engines: Sequence[Engine],
    rounds: int,
    progress: Progress,
) -> list[str]:
    """Measure each kind of build on engines that run; return the report's parts."""
    measured: dict[str, list[float]] = {}
    for kind in KINDS:
        peers = ready([kind(engine) for engine in engines])
        measured |= timing.measure(peers, rounds, PAUSE_S, progress, warm_up_rounds=WARM_UP_ROUNDS)
    return [
        HEADING.format(files=FILES, megabytes=UNUSED_BYTES >> 20),
        report.times(measured),
        report.ratios(measured, AIMS),
    ]


def main() -> None:
    """Measure these alone, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.build_clients")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    rounds = parser.parse_args().rounds
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(clean_folder())
        tar = rootfs.write_tar(f"{folder}/root.tar")

        def ready(peers: Sequence[Peer]) -> list[Peer]:
            for peer in peers:
                own = f"{folder}/{peer.name.replace(' ', '-')}"
                os.makedirs(own)
                stack.callback(peer.teardown)
                peer.setup(own)
            return list(peers)

        engines = [Labkit(tar), Docker(tar)]
        ready(engines)
        parts = measure(ready, engines, rounds, lambda what: print(what, file=sys.stderr))
    print("\n".join(part.strip("\n") + "\n" for part in parts))


if __name__ == "__main__":
    main()
