"""What the tests of the course's code share: a lab that is found as a notebook finds it."""

from collections.abc import Iterator

import pytest

from labkit.client import Client
from tests.lab import Lab


@pytest.fixture
def client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """What is tested finds the engine by the environment, as in a notebook."""
    for name in ("LABKIT_ROOT", "LABKIT_RUN", "LABKIT_CGROUP_PARENT"):
        monkeypatch.setenv(name, lab.env[name])
    with Client() as client:
        yield client
