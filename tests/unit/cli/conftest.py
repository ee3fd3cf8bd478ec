"""Fixtures for the command line's tests: `labkit` in this process, against a stand-in daemon."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from labkit.cli.main import main
from tests.unit.client.stand_in import Received, StandIn, response


class Result(NamedTuple):
    code: int
    out: str
    err: str


Routes = dict[str, object]


class Terminal:
    """Where commands are typed; `routes` is what the engine answers, by `METHOD /path`."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.routes: Routes = {"GET /_ping": {}}
        (folder / "run").mkdir()
        self.daemon = StandIn(str(folder / "run" / "labkit.sock"), self._answer)

    def _answer(self, request: Received) -> object:
        found = self.routes.get(f"{request.method} {request.path}")
        if found is None:
            return response("404 Not Found", {"message": f"no route for {request.path}"})
        if callable(found):
            found = found(request)
        return response(body=found) if isinstance(found, (dict, list)) else found

    def __call__(self, *words: str) -> Result:
        self._capture.readouterr()
        code = main(words)
        return Result(code, *self._capture.readouterr())

    @property
    def requests(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.daemon.requests]


@pytest.fixture
def labkit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Result]]:
    """`labkit("ps", "-a")` runs the command; see `Terminal`."""
    monkeypatch.setenv("LABKIT_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("LABKIT_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LABKIT_CONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    terminal = Terminal(tmp_path, capfd)
    yield terminal
    terminal.daemon.close()
