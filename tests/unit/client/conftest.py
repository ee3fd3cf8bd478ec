"""Fixtures for the client's tests."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.client.stand_in import Answer, StandIn


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Answer], StandIn]]:
    """Start a stand-in daemon that answers with the given function."""
    started: list[StandIn] = []

    def start(answer: Answer) -> StandIn:
        stand_in = StandIn(str(tmp_path / f"{len(started)}.sock"), answer)
        started.append(stand_in)
        return stand_in

    yield start
    for stand_in in started:
        stand_in.close()
