"""`login`, `logout`, `search` against labkit's own registry: passwords, tokens, TLS."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docker_command import DockerCommand
from tests.lab import Lab
from tests.peers.clients import docker_commands
from tests.registries import LabkitRegistry
from tests.terminal import Terminal

pytestmark = pytest.mark.root

PASSWD = ("registry", "passwd", "--password-stdin")
WAYS = {"basic": (), "token": ("--token",), "TLS": ("--tls-self-signed", "--token")}


@pytest.fixture(scope="module", params=WAYS)
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_lab: Lab
) -> Iterator[LabkitRegistry]:
    """A registry that wants a password, by each of the ways there are."""
    folder = tmp_path_factory.mktemp("registry")
    users = f"{folder}/users"
    made = shared_lab.cli(*PASSWD, users, "me", input="secret\n")
    assert made.returncode == 0, made.stderr
    running = LabkitRegistry(str(folder), "--auth", users, *WAYS[request.param])
    yield running
    running.end()


@pytest.fixture
def env(lab: Lab, tmp_path: Path) -> dict[str, str]:
    return lab.env | {"LABKIT_CONFIG": str(tmp_path / "config")}


def test_who_is_logged_in_pulls_and_pushes(
    lab: Lab, registry: LabkitRegistry, env: dict[str, str], tmp_path: Path
) -> None:
    name = f"{registry.address}/lab/secret:1"
    assert lab.cli("tag", "busybox", name).returncode == 0
    denied = lab.cli("push", name, env=env)
    assert denied.returncode == 1
    assert "may require 'docker login'" in denied.stderr
    words = ("login", "-u", "me", "--password-stdin", registry.address)
    wrong = lab.cli(*words, env=env, input="wrong\n")
    assert wrong.returncode == 1
    assert "Check the user name and the password" in wrong.stderr
    assert not (tmp_path / "config").exists()
    right = lab.cli(*words, env=env, input="secret\n")
    assert (right.returncode, right.stdout) == (0, "Login Succeeded\n"), right.stderr
    config = tmp_path / "config/config.json"
    assert os.stat(config).st_mode & 0o777 == 0o600
    pushed = lab.cli("push", name, env=env)
    assert pushed.returncode == 0, pushed.stderr
    assert lab.cli("rmi", name).returncode == 0
    assert lab.cli("pull", name, env=env).returncode == 0
    found = lab.cli("search", "--format", "{{.Name}}", f"{registry.address}/secret", env=env)
    assert found.stdout == "lab/secret\n", found.stderr
    left = lab.cli("logout", registry.address, env=env)
    assert left.stdout == f"Removing login credentials for {registry.address}\n"
    assert json.loads(config.read_text()) == {"auths": {}}
    again = lab.cli("pull", name, env=env)
    assert again.returncode == 1
    assert again.stderr.startswith("labkit: pull access denied for ")
    assert lab.cli("logout", registry.address, env=env).stdout.startswith("Not logged in to ")
    lab.cli("rmi", name)


def test_a_password_is_asked_for_without_echo(
    lab: Lab, registry: LabkitRegistry, env: dict[str, str]
) -> None:
    terminal = Terminal(lab.argv("login", registry.address), env)
    terminal.see(b"Username: ")
    terminal.type(b"me\n")
    terminal.see(b"Password: ")
    terminal.type(b"secret\n")
    assert b"secret" not in terminal.see(b"Login Succeeded")
    assert terminal.process.wait(20) == 0
    os.close(terminal.master)


@pytest.mark.parametrize("program", docker_commands())
def test_the_docker_command(
    lab: Lab, registry: LabkitRegistry, program: str, tmp_path: Path
) -> None:
    docker = DockerCommand(program, lab, str(tmp_path))
    name = f"{registry.address}/lab/docker:1"
    docker.out("tag", "busybox", name)
    assert docker("push", name)[0] == 1
    words = ("login", "-u", "me", "--password-stdin", registry.address)
    assert docker(*words, text_in=b"wrong")[0] == 1
    code, said, err = docker(*words, text_in=b"secret")
    assert (code, "Login Succeeded" in said) == (0, True), err
    docker.out("push", name)
    docker.out("rmi", name)
    pulled = docker.out("pull", name)
    assert f"Status: Downloaded newer image for {name}" in pulled or "up to date" in pulled
    assert "lab/docker" in docker.out("search", f"{registry.address}/docker")
    docker.out("rmi", name)


def test_skopeo_reads_what_was_pushed(
    lab: Lab, registry: LabkitRegistry, env: dict[str, str]
) -> None:
    name = f"{registry.address}/lab/tool:1"
    lab.cli("login", "-u", "me", "--password-stdin", registry.address, env=env, input="secret")
    lab.cli("tag", "busybox", name)
    assert lab.cli("push", "-q", name, env=env).stdout == f"{name}\n"
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--creds=me:secret", f"docker://{name}"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["RepoTags"] == ["1"]
    lab.cli("rmi", name)
