"""An engine in the test's own process, with a data root and cgroups of its own."""

import os
import subprocess
import tarfile
import tempfile

import pytest

from labkit import ownership
from labkit.containers import Engine
from labkit.paths import Paths
from tests import leaks, registries
from tests.lab import template_root


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as name:
        subprocess.run(["cp", "-al", template_root(), f"{name}/root"], check=True)
        yield name


@pytest.fixture
def open_engine(folder, monkeypatch):
    monkeypatch.setenv("LABKIT_CGROUP_PARENT", "labkit-" + os.path.basename(folder))
    engines = []

    def open_one(userns_remap=""):
        paths = Paths(f"{folder}/root", f"{folder}/run")
        leaks.ENGINE_NAMES.add(ownership.link_prefix(paths.root))
        engines.append(Engine.open(paths, userns_remap))
        return engines[-1]

    yield open_one
    engine = engines[-1]
    for container in engine.list():
        engine.remove(container.id, force=True)
    assert engine.layout.leftovers() == []
    assert os.listdir(f"{folder}/run/containers") == []
    assert os.listdir(f"{folder}/root/containers") == []
    engine.close()
    engine.layout.tear_down()


@pytest.fixture
def engine(open_engine):
    return open_engine()


@pytest.fixture
def archive(tmp_path) -> bytes:
    """A small root file system: busybox and a shell."""
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    return (tmp_path / "root.tar").read_bytes()


@pytest.fixture(scope="module", params=["labkit", "docker-registry"])
def registry(request):
    """A registry: labkit's, and Debian's for comparison, which need not meet every test."""
    if request.param == "docker-registry" and not registries.DebianRegistry.is_installed():
        pytest.skip("needs docker-registry")
    kinds = {"labkit": registries.LabkitRegistry, "docker-registry": registries.DebianRegistry}
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as folder:
        server = kinds[request.param](folder)
        yield server
        server.end()


@pytest.fixture
def repository(request, registry):
    """The name of a repository of the test's own."""
    why = registries.OTHERWISE.get(request.node.originalname)
    if why and isinstance(registry, registries.DebianRegistry):
        # In which order a folder is listed, and with it the tags of 2.8, is an accident.
        strict = "tags" not in request.node.originalname
        request.applymarker(pytest.mark.xfail(reason=why, strict=strict))
    return "lab/" + request.node.originalname.removeprefix("test_").replace("_", "-")
