"""The leak check itself: it must see what is left, and must not see what is another run's."""

import os
import subprocess
import tempfile
from pathlib import Path

from tests import leaks


def test_a_file_left_in_tmp_is_seen_and_its_removal_too() -> None:
    before = leaks.measure()
    descriptor, path = tempfile.mkstemp(prefix=f"{leaks.RUN_NAME}-")
    os.close(descriptor)
    assert leaks.left_behind(before, patience_s=0) == [f"file {path}"]
    Path(path).unlink()
    assert leaks.left_behind(before) == []


def test_an_orphan_is_known_by_its_environment() -> None:
    before = leaks.measure()
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (line,) = leaks.left_behind(before, patience_s=0)
        assert line == f"process {sleeper.pid}: sleep 60"
    finally:
        sleeper.kill()
        sleeper.wait()
    assert leaks.left_behind(before) == []


def test_another_runs_things_are_not_ours() -> None:
    assert leaks.is_ours(f"/tmp/{leaks.RUN_NAME}-abc/run")
    assert leaks.is_ours("/sys/fs/cgroup/memory/labkit/0123")
    assert not leaks.is_ours("/tmp/lk1-abc/run")


def test_what_appears_in_a_lab_that_was_there_is_its_own() -> None:
    before = {"/sys/fs/cgroup/memory/labkit": "cgroup", "/run/labkit": "file"}
    now = before | {"/sys/fs/cgroup/memory/labkit/0123": "cgroup 0123"}
    assert leaks.news(now, before) == []
    assert leaks.news(now, {}) == ["cgroup", "file", "cgroup 0123"]


def test_names_that_follow_from_a_data_root_belong_to_the_run_that_has_it(monkeypatch) -> None:
    names = ("labkit-abcdef", "lkabcdef0", "lkabcdefv12ab", "table inet lkabcdef")
    assert not any(map(leaks.is_ours, names))
    monkeypatch.setattr(leaks, "ENGINE_NAMES", {"labkit-abcdef", "lkabcdef"})
    assert all(map(leaks.is_ours, names))
    assert leaks.is_ours("labkit0")
