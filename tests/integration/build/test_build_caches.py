"""`--cache-to` and `--cache-from`: a cache outside of the engine, used on a new data root."""

import json
import socket
import tempfile
from pathlib import Path

import pytest

from tests import leaks, registries
from tests.buildkit import client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox AS base
ARG CASE
ENV A=1
RUN cat /proc/sys/kernel/random/uuid > /stamp
RUN true
COPY f /f
FROM busybox
LABEL a=b
COPY --from=base /stamp /copied
RUN cat /copied > /copy
"""


@pytest.fixture(scope="module")
def first():
    """The engine that writes caches."""
    with running_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def second():
    """Another engine: no test's build was made here before."""
    with running_lab() as lab:
        yield lab


@pytest.fixture
def folder(tmp_path, request):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE.replace("CASE", f"CASE={request.node.name}"))
    (folder / "f").write_text("a file\n")
    return folder


def build(lab, folder, *flags):
    """Build, and return the output and the stamp."""
    client = client_of(lab)
    said = client.build(folder, "-t", "it", *flags)
    return said, client.docker("run", "--rm", "--network", "none", "it", "cat", "/copy").stdout


def test_a_folder_holds_a_cache_for_another_engine(first, second, folder, tmp_path):
    cache = f"{tmp_path}/cache"
    said, stamp = build(first, folder, "--cache-to", f"type=local,dest={cache},mode=max")
    assert "exporting cache to client directory" in said
    assert len(json.loads(Path(cache, "index.json").read_text())["manifests"]) == 1
    said, again = build(second, folder, "--cache-from", f"type=local,src={cache}")
    assert again == stamp
    assert said.count("CACHED") == 5, said


def test_a_registry_holds_a_cache_for_another_engine(first, second, folder):
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as place:
        registry = registries.LabkitRegistry(place)
        try:
            name = f"{registry.address}/team/cache:it"
            _, stamp = build(first, folder, "--cache-to", f"type=registry,ref={name},mode=max")
            said, again = build(second, folder, "--cache-from", f"type=registry,ref={name}")
        finally:
            registry.end()
    assert again == stamp
    assert said.count("CACHED") == 5, said


def labkit_build(lab, folder, *flags):
    said = lab.cli("build", "-t", "it", "--progress", "plain", *flags, str(folder))
    assert said.returncode == 0, said.stdout + said.stderr
    shown = lab.cli("run", "--rm", "--network", "none", "it", "cat", "/copy", check=True).stdout
    return said.stdout + said.stderr, shown


def test_labkits_own_command_writes_and_reads_a_folder(first, second, folder, tmp_path):
    cache = f"{tmp_path}/cache"
    _, stamp = labkit_build(first, folder, "--cache-to", f"type=local,dest={cache},mode=max")
    assert json.loads(Path(cache, "index.json").read_text())["manifests"][0]["size"] > 0
    _, again = labkit_build(second, folder, "--cache-from", f"type=local,src={cache}")
    assert again == stamp
    said = client_of(second).build(folder, "--cache-from", f"type=local,src={cache}")
    assert said.count("CACHED") == 5, said


def test_labkits_own_command_gives_contexts_and_an_agent(first, tmp_path):
    folder, other = tmp_path / "project", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "f").write_text("from the other folder\n")
    (other / "secret").write_text("ignored\n")
    (other / ".dockerignore").write_text("secret\n")
    (folder / "Dockerfile").write_text(
        "FROM base\nCOPY --from=more / /more/\n"
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && ls /more > /copy && cat /more/f >> /copy\n"
    )
    path = f"{tmp_path}/agent"
    with socket.create_server(path, family=socket.AF_UNIX):
        flags = ["--build-context", f"more={other}", "--ssh", f"default={path}"]
        flags += ["--build-context", "base=docker-image://busybox"]
        _, shown = labkit_build(first, folder, *flags)
    assert shown == "f\nfrom the other folder\n"
