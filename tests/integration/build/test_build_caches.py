"""`--cache-to` and `--cache-from`: a cache outside of the engine, used on a new data root."""

import json
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
