"""The rule of skips: only for what the machine lacks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import skips

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skips, "LACKS", {"needs wings": lambda: True, "needs legs": lambda: False})


@pytest.mark.usefixtures("needs")
def test_a_skip_is_justified_by_what_the_machine_lacks() -> None:
    assert skips.is_justified("needs wings: flies off")
    assert not skips.is_justified("needs legs: walks off")
    assert not skips.is_justified("does not feel like it")


def test_an_unjustified_skip_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_lazy.py").write_text(
        "import pytest\n\ndef test_lazy():\n    pytest.skip('another day')\n"
    )
    (tmp_path / "test_lazier.py").write_text(
        "import pytest\npytest.skip('another year', allow_module_level=True)\n"
    )
    # Plugins are left out: some of them take seconds to import, and the rule needs none.
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            "--continue-on-collection-errors",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(PROJECT),
            "PATH": "/usr/bin:/bin",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
    )
    assert run.returncode != 0
    assert "accepts here: another year" in run.stdout
    assert "accepts here: another day" in run.stdout
    assert "1 failed, 1 error" in run.stdout
