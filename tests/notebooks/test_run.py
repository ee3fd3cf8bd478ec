"""Every notebook runs from top to bottom, and gives what is committed in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, running_lab
from tests.notebooks.execute import environment, make_debian
from tests.notebooks.notebooks import EVERY, FOLDER, PROJECT, name_of

CELL_TIMEOUT_S = 120


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab as a learner's is, with both base images; one for all notebooks."""
    with running_lab() as one:
        make_debian(one)
        yield one


def run_nbval(lab: Lab, folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """nbval in a process of its own, since a notebook's kernel inherits its environment."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env"),
            f"--nbval-cell-timeout={CELL_TIMEOUT_S}",
            f"--nbval-sanitize-with={PROJECT / 'tests/notebooks/sanitize.cfg'}",
            *("-c", os.devnull, "--rootdir", str(path.parent), "-p", "no:cacheprovider", "-q"),
            str(path),
        ],
        env=environment(lab, str(folder)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=path.parent,
    )


@pytest.mark.root
@pytest.mark.timeout(1200)  # a busy machine takes minutes for the image `debian`, which comes first
@pytest.mark.parametrize("path", EVERY, ids=name_of)
def test_it_gives_what_is_committed(lab: Lab, tmp_path: Path, path: Path) -> None:
    result = run_nbval(lab, tmp_path, path)
    assert result.returncode == 0, result.stdout + result.stderr
    _, containers = lab.api("GET", "/containers/json?all=1")
    assert containers == [], "the notebook left containers behind"


@pytest.mark.root
def test_another_output_is_noticed(lab: Lab, tmp_path: Path) -> None:
    """The test above can fail: here a checked cell says something else than before."""
    path = tmp_path / "00_start_here.ipynb"
    shutil.copy(FOLDER / path.name, path)
    text = path.read_text(encoding="utf-8")
    changed = text.replace('busybox echo hi"', 'busybox echo ho"', 1)
    assert changed != text
    path.write_text(changed, encoding="utf-8")
    result = run_nbval(lab, tmp_path, path)
    assert result.returncode == 1
    assert "mismatch" in result.stdout
