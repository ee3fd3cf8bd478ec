"""The docker commands of the peers, for tests that speak to an engine by them."""

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from bench.systems import HERE, System, every, newest

PLUGINS = "/usr/libexec/docker/cli-plugins"
"""Where Debian puts buildx and compose."""


def docker_commands() -> list[str]:
    """Every docker command there is here, on the PATH or with the peers: each version once."""
    folders = os.environ["PATH"].split(os.pathsep)
    found = [f"{folder}/docker" for folder in folders if os.access(f"{folder}/docker", os.X_OK)]
    found += [system.seen(path) for system in every() if (path := system.find("docker"))]
    return list(dict.fromkeys(os.path.realpath(path) for path in found))


@cache
def docker_by_version() -> dict[str, str]:
    """The same by their major versions, `docker-26` for one."""
    found = {}
    for path in docker_commands():
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
        found[f"docker-{told.stdout.split()[2].partition('.')[0]}"] = path
    return found


def compose_commands() -> list[list[str]]:
    """The commands of docker-compose: a program, or a plugin of `docker`; and that of the peers."""
    commands = [["docker-compose"], ["docker", "compose"]]
    found = [command for command in commands if shutil.which(command[0]) and _runs(command)][:1]
    newer = newest()
    if newer != HERE:
        found.append([newer.seen(f"{PLUGINS}/docker-compose")])
    return found


def _runs(command: list[str]) -> bool:
    asked = [*command, "version", "--short"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def client_environment(system: System, socket: str, folder: str) -> dict[str, str]:
    """The environment in which a system's docker speaks to a socket, and knows its plugins.

    `folder` becomes that of its configuration.
    """
    os.makedirs(folder, exist_ok=True)
    configuration = {"cliPluginsExtraDirs": [system.seen(PLUGINS)]}
    Path(folder, "config.json").write_text(json.dumps(configuration))
    return os.environ | {
        "DOCKER_HOST": f"unix://{socket}",
        "DOCKER_CONFIG": folder,
        "DOCKER_CLI_HINTS": "false",
    }
