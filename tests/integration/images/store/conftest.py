"""A store of its own for each test, on a real disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.images import ImageStore
from tests.images import temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


@pytest.fixture
def root(folder: Path) -> Path:
    return folder / "root"


@pytest.fixture
def store(root: Path) -> ImageStore:
    return ImageStore(str(root))
