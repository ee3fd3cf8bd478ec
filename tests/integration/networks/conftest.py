"""What the tests of networks share."""

import contextlib
from collections.abc import Iterator

import pytest

from tests import networking
from tests.lab import Lab
from tests.networking import Answering


@pytest.fixture
def networks(lab: Lab) -> Lab:
    """The run's lab; what a test makes there, networks too, is removed after it."""
    return lab


@pytest.fixture
def outside() -> Iterator[networking.Outside]:
    with networking.outside_host() as found:
        yield found


@pytest.fixture
def answering() -> Iterator[Answering]:
    with contextlib.closing(Answering()) as found:
        yield found
