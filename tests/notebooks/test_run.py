"""Every notebook runs from top to bottom, and gives what is committed in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, running_lab
from tests.notebooks.notebooks import CHAPTERS, DEMOS, FOLDER, PROJECT, WITH_A_CORE, core_of, name_of
from tests.notebooks.places import CELL_TIMEOUT_S, environment, make_debian, needs_debian


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for all notebooks."""
    with running_lab() as one:
        yield one


@pytest.fixture(scope="module")
def debian(lab: Lab) -> None:
    """The second base image; made once, and only if a notebook that uses it runs."""
    make_debian(lab)


def run_nbval(lab: Lab, folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """nbval in a process of its own, since a notebook's kernel inherits its environment.

    The notebooks lie in one folder.
    """
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "nbval", "--nbval-lax", "--nbval-current-env"),
            f"--nbval-cell-timeout={CELL_TIMEOUT_S}",
            f"--nbval-sanitize-with={PROJECT / 'tests/notebooks/sanitize.cfg'}",
            *("-c", os.devnull, "--rootdir", str(paths[0].parent), "-p", "no:cacheprovider", "-q"),
            *map(str, paths),
        ],
        env=environment(lab, str(folder)) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=paths[0].parent,
    )


@pytest.mark.root
@pytest.mark.timeout(1200)  # a busy machine takes minutes for the image `debian`, which comes first
@pytest.mark.parametrize("path", [*CHAPTERS, DEMOS[0]], ids=name_of)
def test_it_gives_what_is_committed(
    request: pytest.FixtureRequest, lab: Lab, tmp_path: Path, path: Path
) -> None:
    if needs_debian(path):
        request.getfixturevalue("debian")
    result = run_nbval(lab, tmp_path, path)
    assert result.returncode == 0, result.stdout + result.stderr
    _, containers = lab.api("GET", "/containers/json?all=1")
    assert containers == [], "the notebook left containers behind"


@pytest.mark.root
def test_the_cores_run_alone(lab: Lab, tmp_path: Path) -> None:
    """A small part of the chapters that depend on the kernel; the test of cgroup v2 runs it too.

    One nbval runs them all: to start it takes the emulated machine half a minute.
    """
    cores = [tmp_path / path.name for path in WITH_A_CORE]
    for core, path in zip(cores, WITH_A_CORE, strict=True):
        core.write_text(core_of(path), encoding="utf-8")
    result = run_nbval(lab, tmp_path, *cores)
    lab.remove_containers()
    assert result.returncode == 0, result.stdout + result.stderr


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
