"""Fixtures of the exercises' tests: a lab that is found as a notebook finds it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.client import Client
from labkit.course.exercises.place import Place
from labkit.kernel import loops
from tests.lab import Lab


@pytest.fixture(autouse=True, scope="module")
def images_as_they_were(shared_lab: Lab) -> Iterator[None]:
    """Remove the images that exercises and solutions have built: other tests count images."""
    before = images_of(shared_lab)
    yield
    shared_lab.remove_containers()
    for image in images_of(shared_lab) - before:
        shared_lab.api("DELETE", f"/images/{image}?force=1")
    assert images_of(shared_lab) == before


def images_of(lab: Lab) -> set[str]:
    """The ids of all images, those without a name included."""
    _, listed = lab.api("GET", "/images/json?all=1")
    assert isinstance(listed, list), listed
    return {image["Id"] for image in listed}


@pytest.fixture
def client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The tested code finds the engine by the environment, as in a notebook."""
    for name in ("LABKIT_ROOT", "LABKIT_RUN", "LABKIT_CGROUP_PARENT", "LABKIT_LINK_PREFIX"):
        monkeypatch.setenv(name, lab.env[name])
    with Client() as client:
        yield client


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A disk that limits can be set for."""
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(4 << 20)
    fd, device = loops.attach(str(image))
    yield device
    os.close(fd)


@pytest.fixture
def place(client: Client, disk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The lab of the test as a learner's, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Place(client, folder=os.getcwd(), disk=disk)
