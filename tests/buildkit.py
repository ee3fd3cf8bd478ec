"""The peers' build clients, as users have them: docker with buildx, and compose."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.systems import System, newest
from tests.lab import Lab
from tests.peers.clients import PLUGINS, client_environment

TIMEOUT_S = 120.0


class Client:
    """docker with its plugins, which speaks to one engine."""

    def __init__(self, system: System, socket: str, folder: str) -> None:
        self.program = system.seen("/usr/bin/docker")
        self.compose = system.seen(f"{PLUGINS}/docker-compose")
        self.env = client_environment(system, socket, folder) | {"BUILDKIT_PROGRESS": "plain"}
        self.env.pop("DOCKER_BUILDKIT", None)

    def docker(
        self, *words: str, code: int | None = 0, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker WORDS`; `code` is the exit code that it must have, None for any."""
        return self.run([self.program, *words], code=code, **options)

    def run(
        self, command: list[str], *, code: int | None = 0, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the client's environment."""
        given: dict[str, object] = {
            "env": self.env,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
            "timeout": TIMEOUT_S,
        }
        if "input" not in options:
            given["stdin"] = subprocess.DEVNULL
        done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
            command, check=False, **given | options
        )
        assert code is None or done.returncode == code, done.stdout
        return done

    def build(self, folder: object, *flags: str, code: int | None = 0, **options: object) -> str:
        """Run `docker build FLAGS FOLDER`; return its output."""
        return self.docker("build", *flags, str(folder), code=code, **options).stdout

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run `docker WORDS` during the block; it is killed at the end."""
        process = subprocess.Popen(
            [self.program, *words],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def client_of(lab: Lab) -> Client:
    """Return a client of a lab; the test is skipped if there is none.

    LABKIT_TEST_CLIENTS may name the root of a system with other versions, to try those.
    """
    root = os.environ.get("LABKIT_TEST_CLIENTS")
    system = System(root) if root else newest()
    if not os.access(system.seen(f"{PLUGINS}/docker-buildx"), os.X_OK):
        pytest.skip("needs docker 26")
    return Client(system, lab.socket, f"{lab.folder}/client")
