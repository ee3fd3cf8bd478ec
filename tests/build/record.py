"""`python -m tests.build.record`: ask docker's two builders and buildah, and write it down.

Each is asked in every version that runs here, BuildKit in the newest; `python -m tests.build.record
buildah` asks that one alone.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.systems import every, newest
from tests.build.buildah import Buildah
from tests.build.cases import (
    ANSWERS,
    BUILDKIT_ANSWERS,
    FOLDER,
    Answer,
    Builder,
    Case,
    cases,
    write_context,
)
from tests.buildkit import Client
from tests.dockerfiles import ANSWERS as DOCKERFILE_ANSWERS
from tests.dockerfiles import CASES as DOCKERFILES
from tests.lab import remove_template, running_lab
from tests.oracle import running_oracle


def record(path: Path, answer: Callable[[Path], Answer]) -> None:
    """Ask about every case of the corpus, and write `path`."""
    record_cases(path, cases(), lambda _, folder: answer(folder))


def record_cases(path: Path, asked: Sequence[Case], answer: Callable[[Case, Path], Answer]) -> None:
    """Ask about these cases, and write `path`."""
    found = {}
    for case in asked:
        with tempfile.TemporaryDirectory() as folder:
            write_context(case, Path(folder))
            found[case.name] = answer(case, Path(folder))
        if bool(found[case.name].get("fails")) != case.fails:
            print(f"{case.name}: the answer for {path.name} is not what the case says")
    lines = [f'"{name}": {json.dumps(answer, sort_keys=True)}' for name, answer in found.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def record_docker() -> None:
    """Docker's answers, which must not depend on its version."""
    written = set()
    for system in every():
        with running_oracle(system) as oracle:
            record(ANSWERS, Builder(oracle.docker_host.removeprefix("unix://")).answer)
        written.add(ANSWERS.read_text())
    if len(written) > 1:
        print("the versions of dockerd do not agree")


def record_buildkit() -> None:
    """BuildKit's answers, through buildx."""
    with running_oracle() as oracle:
        client = Client(newest(), oracle.socket, f"{oracle.folder}/client")
        builder = Builder(oracle.socket)
        record(BUILDKIT_ANSWERS, lambda folder: builder.answer_by(client, folder))


def record_dockerfiles() -> None:
    """BuildKit's answers to the cases that need it."""
    with running_oracle() as oracle:
        client = Client(newest(), oracle.socket, f"{oracle.folder}/client")
        builder = Builder(oracle.socket)
        record_cases(
            DOCKERFILE_ANSWERS,
            DOCKERFILES,
            lambda case, folder: builder.answer_by(client, folder, case.flags),
        )


def record_buildah() -> None:
    """Buildah's, a file for each version."""
    for system in every():
        with running_lab() as lab, tempfile.TemporaryDirectory() as folder:
            buildah = Buildah(lab, Path(folder), system)
            try:
                record(FOLDER / f"buildah-{buildah.version()}.json", buildah.answer)
            finally:
                buildah.close()


RECORDERS = {
    "docker": record_docker,
    "buildkit": record_buildkit,
    "dockerfiles": record_dockerfiles,
    "buildah": record_buildah,
}


if __name__ == "__main__":
    for name in sys.argv[1:] or RECORDERS:
        RECORDERS[name]()
    remove_template()
