"""The suites: whose tests, and what they need."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Suite(NamedTuple):
    """The tests of a client, in the source distribution of one of its versions.

    Without a `source` they are this project's own scripts, in a folder of it.
    The client itself, whose `package` stands beside the tests, is the installed one.
    `requirements` are the packages that the tests import, the client among them.
    """

    name: str
    package: str
    source: str
    requirements: tuple[str, ...]
    tests: str
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def folder(self, place: Path) -> Path:
        """Return where its source is unpacked."""
        if not self.source:
            return SCRIPTS
        return place / self.source.replace("==", "-")

    def python(self, place: Path) -> str:
        """Return the interpreter that has its requirements."""
        return str(place / f"{self.name}-venv/bin/python")

    def prepare(self, place: Path) -> None:
        """Download and unpack the source, and install the requirements, once."""
        if self.source and not self.folder(place).is_dir():
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", place]
            subprocess.run([*command, "--no-binary", ":all:", self.source], check=True)
            archive = f"{self.folder(place)}.tar.gz"
            subprocess.run(
                ["tar", "--no-same-owner", f"--exclude=*/{self.package}", "-xzf", archive],
                cwd=place,
                check=True,
            )
        if not Path(self.python(place)).exists():
            subprocess.run([sys.executable, "-m", "venv", place / f"{self.name}-venv"], check=True)
            install = [self.python(place), "-m", "pip", "install", "-q", *COMMON]
            subprocess.run([*install, *self.requirements], check=True)


SCRIPTS = Path(__file__).parent / "scripts"
COMMON = ("pytest", "pytest-timeout")
OF_SWARM = (
    *("api_config", "api_secret", "api_service", "api_swarm"),
    *("models_nodes", "models_services", "models_swarm"),
)
"""docker-py's tests of swarms, which are outside labkit's subject; dockerd 26 ends at one here."""
SUITES = (
    Suite(
        "docker-py",
        "docker",
        "docker==7.0.0",  # the last source distribution with tests
        ("docker[websockets]", "paramiko"),
        "tests/integration",
        tuple(f"--ignore=tests/integration/{name}_test.py" for name in OF_SWARM),
    ),
    Suite(
        "aiodocker",
        "aiodocker",
        "aiodocker==0.27.0",
        ("aiodocker[ssh]==0.27.0", "pytest-asyncio==1.3.0", "testcontainers", "async-timeout"),
        "tests",
        # Its options ask for a package that measures coverage.
        ("-o", "addopts=", "-W", "ignore::pytest.PytestDeprecationWarning"),
        # The container that would clean up after testcontainers is from another registry.
        (("TESTCONTAINERS_RYUK_DISABLED", "true"),),
    ),
    Suite(
        "scripts",
        "",
        "",
        ("docker", "aiodocker", "python-on-whales", "testcontainers", "ansible"),
        "users.py",
        # They know nothing of this project's tests.
        ("-c", "/dev/null", "--confcutdir", "."),
        environment=(("TESTCONTAINERS_RYUK_DISABLED", "true"),),
    ),
)
