"""Who says the commands, and to whom."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.lab import PROJECT, Lab
from tests.matrix.answers import Answer
from tests.matrix.docker_py import DockerPy
from tests.oracle import Oracle
from tests.peers.clients import docker_by_version

TIMEOUT_S = 40
NO_END = 124
"""The exit code of a command that did not end, as timeout(1) gives it."""

Say = Callable[[Sequence[str], bytes | None], Answer | None]
"""Says words, with something to read, and gives the answer; None: it has no words for that."""


class Speaker(NamedTuple):
    """A client and the engine it speaks to."""

    name: str
    say: Say
    socket: str
    knows_codes: bool = True
    """Whether it tells one exit code from another, or success from failure only."""


def to_docker(oracle: Oracle) -> Speaker:
    """A system's docker, to its dockerd: the one the others are compared with."""
    return Speaker("docker", _command([oracle.program], oracle.env), oracle.socket)


def _labkit(lab: Lab) -> Speaker:
    return Speaker("labkit", _command(lab.argv(), lab.env), lab.socket)


def _docker_of(name: str, program: str) -> Callable[[Lab], Speaker]:
    def make(lab: Lab) -> Speaker:
        env = {
            "DOCKER_HOST": f"unix://{lab.socket}",
            "DOCKER_CONFIG": f"{lab.folder}/client",
            "DOCKER_CLI_HINTS": "false",
        }
        return Speaker(name, _command([program], os.environ | env), lab.socket)

    return make


def _docker_py(lab: Lab) -> Speaker:
    return Speaker("docker-py", DockerPy(lab.socket).say, lab.socket, knows_codes=False)


TO_LABKIT: Mapping[str, Callable[[Lab], Speaker]] = {
    "labkit": _labkit,
    **{name: _docker_of(name, program) for name, program in docker_by_version().items()},
    "docker-py": _docker_py,
}
"""Those who are compared with Docker: each speaks to a lab of its own."""


def _command(argv: list[str], environment: Mapping[str, str]) -> Say:
    def say(words: Sequence[str], text_in: bytes | None) -> Answer:
        try:
            done = subprocess.run(
                [*argv, *words],
                env=environment,
                cwd=PROJECT,
                input=text_in or b"",
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(NO_END, b"", f"no end after {TIMEOUT_S} s".encode())
        return Answer(done.returncode, done.stdout, done.stderr)

    return say
