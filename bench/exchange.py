"""Images in transfer: push, pull, load and commit of 100 MB in 5000 files, by command."""

import io
import os
import random
import tarfile

from bench.engines import IMAGE, Engine
from bench.registry import Registry
from bench.running import OfEngine

FILES = 5000
FILE_BYTES = 20_000
FOLDER_FILES = 100
LINE = b"labkit measures how long an image takes on its way from here to there.\n"


def write_files(path: str, seed: int) -> str:
    """Write the archive of the files, half noise and half text each; return the path."""
    noise = random.Random(seed)
    text = (LINE * FILE_BYTES)[: FILE_BYTES // 2]
    with tarfile.open(path, "w") as archive:
        for number in range(FILES):
            member = tarfile.TarInfo(f"data/{number // FOLDER_FILES}/{number}")
            member.size = FILE_BYTES
            archive.addfile(member, io.BytesIO(noise.randbytes(FILE_BYTES - len(text)) + text))
    return path


class Moving(OfEngine):
    """The common part of the four: the disk is quiet before each run."""

    def prepare(self) -> None:
        """Sync the disk, so that writes of an earlier run do not count."""
        os.sync()


class Push(Moving):
    """`push` of an image to an empty registry."""

    what = "push"

    def __init__(self, engine: Engine, registry: Registry) -> None:
        super().__init__(engine)
        self._registry = registry

    def setup(self, folder: str) -> None:
        super().setup(folder)
        self._registry.start(folder)
        self._image = f"{self._registry.address}/bench/{self._engine.program}:pushed"
        self._engine.cli("import", write_files(f"{folder}/files.tar", 1), self._image)

    def prepare(self) -> None:
        self._registry.empty()
        super().prepare()

    def run_once(self) -> None:
        self._engine.run_program("push", self._image)


class Pull(Moving):
    """`pull` of one image, the same for all, by an engine without any part of it."""

    what = "pull"

    def __init__(self, engine: Engine, registry: Registry) -> None:
        super().__init__(engine)
        self._registry = registry

    def setup(self, folder: str) -> None:
        super().setup(folder)
        self._registry.start(folder)
        self._image = f"{self._registry.address}/bench/shared:pulled"
        if not self._registry.has("bench/shared"):
            self._engine.cli("import", write_files(f"{folder}/files.tar", 2), self._image)
            self._engine.cli("push", self._image)
            self._engine.cli("rmi", self._image)

    def run_once(self) -> None:
        self._engine.run_program("pull", self._image)

    def clean_up(self) -> None:
        self._engine.cli("rmi", self._image)


class Load(Moving):
    """`load` of one archive, the same for all, by an engine without any part of it."""

    what = "load"

    def __init__(self, engine: Engine, archive: str) -> None:
        super().__init__(engine)
        self._archive = archive

    def setup(self, folder: str) -> None:
        super().setup(folder)
        if not os.path.exists(self._archive):
            self._engine.cli("import", write_files(f"{folder}/files.tar", 3), "bench-loaded")
            self._engine.cli("save", "-o", self._archive, "bench-loaded")
            self._engine.cli("rmi", "bench-loaded")

    def run_once(self) -> None:
        self._engine.run_program("load", "-q", "-i", self._archive)

    def clean_up(self) -> None:
        self._engine.cli("rmi", "bench-loaded")


class Commit(Moving):
    """`commit` of a container into which the files were copied."""

    what = "commit"

    def setup(self, folder: str) -> None:
        super().setup(folder)
        self._engine.cli("create", "--name", "bench-commit", "--network", "none", IMAGE, "true")
        self._engine.copy_in("bench-commit", write_files(f"{folder}/files.tar", 4))

    def run_once(self) -> None:
        self._engine.run_program("commit", "bench-commit", "bench-committed")

    def clean_up(self) -> None:
        self._engine.cli("rmi", "bench-committed")

    def teardown(self) -> None:
        if self._engine.is_up:
            self._engine.cli("rm", "bench-commit")
