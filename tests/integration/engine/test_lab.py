"""The tests' own lab: it runs, comes back after a crash, and tells what the engine left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import leaks
from tests.lab import Lab

LENGTH_OF_ID = 64
pytestmark = pytest.mark.root


def start_sleeper(lab: Lab) -> str:
    """The id of a running container."""
    status, answer = lab.api(
        "POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "100"]}
    )
    assert status == 201, answer
    assert isinstance(answer, dict)
    assert lab.api("POST", f"/containers/{answer['Id']}/start")[0] == 204
    return str(answer["Id"])


def test_lab_runs_a_container(lab: Lab) -> None:
    container_id = start_sleeper(lab)
    assert any(container_id in line for line in leaks.cgroups())


def test_lab_is_empty_again() -> None:
    ours = [Path(path) for path in leaks.cgroups() if leaks.RUN_NAME in path]
    assert [path for path in ours if len(path.name) == LENGTH_OF_ID] == []


def test_closing_leaves_nothing(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    first_pid = lab.daemon_pid()
    start_sleeper(lab)
    lab.kill_daemon()
    assert not lab.answers()
    lab.start_daemon()
    assert lab.daemon_pid() != first_pid
    lab.close()
    assert not Path(lab.folder).exists()
    assert lab.folder not in "".join(leaks.measure().values())


def test_closing_tells_what_was_left(make_lab: Callable[[], Lab]) -> None:
    lab = make_lab()
    group = next(path for path in leaks.cgroups() if path.endswith(lab.cgroup_parent)) + "/stray"
    Path(group).mkdir()
    with pytest.raises(AssertionError, match="the engine left behind"):
        lab.close()
    assert not Path(group).exists()
