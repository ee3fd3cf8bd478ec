"""The real `docker` command against a lab, for tests: each version on this machine."""

import os
import subprocess

from tests.api import TIMEOUT_S
from tests.lab import Lab
from tests.terminal import Terminal


class DockerCommand:
    """One docker command; calling it runs it to its end."""

    def __init__(self, program: str, lab: Lab, home: str) -> None:
        self.program = program
        self.lab = lab
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "DOCKER_HOST": f"unix://{lab.socket}",
            "DOCKER_CONFIG": home,
            "DOCKER_CLI_HINTS": "false",
            "TERM": "xterm",
        }

    def __call__(self, *arguments: str, text_in: bytes = b"") -> tuple[int, str, str]:
        ended = subprocess.run(
            [self.program, *arguments],
            env=self.env,
            input=text_in,
            capture_output=True,
            timeout=2 * TIMEOUT_S,
            check=False,
        )
        return ended.returncode, ended.stdout.decode(), ended.stderr.decode()

    def out(self, *arguments: str) -> str:
        """What it prints; it must succeed."""
        code, out, err = self(*arguments)
        assert code == 0, (out, err)
        return out.rstrip("\n")

    def run(self, *arguments: str) -> str:
        """`docker run -d` without a network; the id."""
        return self.out("run", "-d", "--network", "none", *arguments)

    def terminal(self, *arguments: str, size: tuple[int, int] = (24, 80)) -> Terminal:
        """The command at a terminal."""
        return Terminal([self.program, *arguments], self.env, size)

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        """The command in the background; both outputs in one pipe."""
        return subprocess.Popen(
            [self.program, *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
