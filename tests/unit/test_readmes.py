"""The examples in the packages' READMEs do what they say."""

import doctest
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "labkit"
READMES = sorted(PACKAGE.glob("*/README.md"))


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_the_example_of(path: Path) -> None:
    found = doctest.testfile(
        str(path), module_relative=False, optionflags=doctest.IGNORE_EXCEPTION_DETAIL
    )
    assert found.attempted
    assert not found.failed
    assert len(path.read_text().splitlines()) <= 40, "half a page"


def test_the_packages_with_an_idea_have_one() -> None:
    ideas = {
        *("build", "cgroups", "cli", "client", "containers", "course", "daemon", "images"),
        *("kernel", "networks", "runtime", "snapshots"),
    }
    assert ideas <= {path.parent.name for path in READMES}
