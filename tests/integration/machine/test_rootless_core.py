"""A core of `make test-rootless` in each run: the same tests, with an ordinary user's engine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import host_power
from tests.lab import PROJECT

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

CORE = (
    "tests/integration/api/test_events.py",
    "tests/integration/containers/test_run_options.py",
    "tests/integration/cli/test_docker_files.py",
)


def test_the_same_tests_pass_without_root(tmp_path: Path) -> None:
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", f"{tmp_path}/tests")
    done = subprocess.run(
        [sys.executable, *words, *CORE],
        cwd=PROJECT,
        env=os.environ | {"LABKIT_TEST_ROOTLESS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_word_of_a_mark_has_its_reason() -> None:
    words = {*host_power.MODULES, *host_power.FIXTURES.values()}
    assert words <= set(host_power.WHY)
    assert host_power.summary(["users", "users"])[0].startswith("2 tests")
    for place in host_power.PLACES:
        folder, _, name = place.rpartition("/")
        assert list((PROJECT / folder).glob(f"{name}*")), f"no test is called {place}"
