"""Space kept back for a full disk: where it lies, and that it comes and goes with its data root."""

import os

import pytest

from labkit.kernel import reserve


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(reserve, "_folder", "")
    path = tmp_path / "root"
    path.mkdir()
    reserve.use(str(path))
    return path


def test_files_are_made_once(root):
    assert reserve.fill() and reserve.fill()
    assert len(os.listdir(root / "reserve")) == sum(reserve.FILES.values())


def test_a_file_taken_is_made_again(root):
    reserve.fill()
    assert reserve.take(str(root / "record"), 100)
    assert reserve.fill()
    assert len(os.listdir(root / "reserve")) == sum(reserve.FILES.values())


def test_a_data_root_that_was_removed_does_not_come_back(root):
    root.rmdir()
    assert reserve.fill()
    assert not root.exists()
