"""A registry that a test scripts, and a client of it that loses no time between tries."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from labkit.registry.client import registry as registries
from labkit.registry.client.credentials import ANONYMOUS, Credentials
from labkit.registry.client.endpoints import Endpoint
from labkit.registry.client.registry import Registry
from labkit.registry.client.repository import Repository
from tests.unit.registry_client.fake import FakeRegistry, running

Connect = Callable[..., Repository]


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with running() as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[FakeRegistry]:
    """Another host."""
    with running() as server:
        yield server


@pytest.fixture
def connect(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    monkeypatch.setattr(registries, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(registries, "LONGEST_PAUSE_S", 0.2)
    with ExitStack() as stack:

        def to(credentials: Credentials = ANONYMOUS, *, pushes: bool = False) -> Repository:
            registry = stack.enter_context(Registry(Endpoint(fake.url, False), credentials))
            registry.connect()
            return Repository(registry, "library/x", pushes=pushes)

        yield to
