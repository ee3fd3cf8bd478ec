"""An engine in the test's own process, with a data root and cgroups of its own."""

import os
import subprocess
import tarfile
import tempfile

import pytest

from labkit.containers import Engine
from labkit.paths import Paths
from tests import leaks
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

    def open_one():
        engines.append(Engine.open(Paths(f"{folder}/root", f"{folder}/run")))
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
