"""Walks through strangers' trees: at any depth, with few descriptors, and never out of the tree."""

import errno
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from labkit.kernel import threads, trails
from labkit.kernel.trails import Trail
from tests.deep import nest
from tests.skips import has_immutable_files

DEPTH = 50_000


def open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def count_of_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_trail_goes_down_and_up_with_few_descriptors(tmp_path: Path) -> None:
    nest(tmp_path / "top", 200)
    before = count_of_descriptors()
    fd = open_folder(tmp_path / "top")
    with Trail(fd) as trail:
        for _ in range(200):
            trail.enter("d")
        assert trail.depth == 200
        assert count_of_descriptors() - before <= trails.OPEN_MAX + 3
        for _ in range(200):
            assert trail.leave() == "d"
        assert os.path.samestat(os.fstat(trail.here), os.stat(tmp_path / "top"))
    os.close(fd)
    assert count_of_descriptors() == before


def test_a_folder_that_is_moved_out_during_the_walk_leads_nowhere(tmp_path: Path) -> None:
    nest(tmp_path / "tree", 100)
    (tmp_path / "elsewhere").mkdir()
    fd = open_folder(tmp_path / "tree")
    with Trail(fd) as trail:
        for _ in range(100):
            trail.enter("d")
        os.rename(tmp_path / "tree/d/d/d", tmp_path / "elsewhere/d")
        for _ in range(97):
            trail.leave()
        with pytest.raises(OSError, match="moved") as caught:
            trail.leave()
        assert caught.value.errno == errno.ESTALE
    os.close(fd)


def test_a_link_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    fd = open_folder(tmp_path)
    with Trail(fd) as trail, pytest.raises(OSError):
        trail.enter("link")
    os.close(fd)


def test_a_deep_tree_is_measured_and_removed() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        nest(f"{folder}/top", DEPTH, content=b"123")
        assert sum(found.st_size for found in trails.files(f"{folder}/top")) == 3
        trails.remove_tree(f"{folder}/top")
        assert os.listdir(folder) == []


def test_names_of_any_bytes_links_and_closed_folders_are_removed(tmp_path: Path) -> None:
    top = os.fsencode(tmp_path / "top")
    os.mkdir(top)
    for number in range(1, 256):
        if number != ord("/"):
            Path(os.fsdecode(top + b"/f" + bytes([number]))).touch()
    os.mkdir(top + b"/\xff\n")
    os.symlink(tmp_path, top + b"/out")
    os.mkfifo(top + b"/pipe")
    Path(os.fsdecode(top + b"/\xff\n/inner")).touch()
    os.chmod(top + b"/\xff\n", 0)
    (tmp_path / "kept").touch()
    trails.remove_tree(os.fsdecode(top))
    assert os.listdir(tmp_path) == ["kept"]
    trails.remove_tree(os.fsdecode(top))  # what is missing is removed


def test_more_folders_than_are_held_at_a_time_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trails, "BATCH", 5)
    for number in range(23):
        (tmp_path / "top" / "inner" / str(number) / "x").mkdir(parents=True)
        (tmp_path / "top" / f"file{number}").touch()
    trails.remove_tree(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_what_a_container_made_immutable_is_removed(tmp_path: Path) -> None:
    (tmp_path / "top/inner/deeper").mkdir(parents=True)
    (tmp_path / "top/inner/file").touch()
    (tmp_path / "top/inner/log").touch()
    if not has_immutable_files(str(tmp_path)):
        pytest.skip("needs immutable files")
    subprocess.run(["chattr", "+i", tmp_path / "top/inner/file"], check=True)
    subprocess.run(["chattr", "+a", tmp_path / "top/inner/log"], check=True)
    subprocess.run(["chattr", "+i", tmp_path / "top/inner/deeper"], check=True)
    subprocess.run(["chattr", "+i", tmp_path / "top/inner"], check=True)
    trails.remove_tree(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_does_not_keep_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "file").touch()
    unlink = os.unlink

    def refuse_one(name: str, *, dir_fd: int) -> None:
        if os.path.samestat(os.fstat(dir_fd), os.stat(tmp_path / "top/b")):
            raise OSError(errno.EIO, "the disk is bad", name)
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse_one)
    with pytest.raises(OSError, match="the disk is bad"):
        trails.remove_tree(str(tmp_path / "top"))
    monkeypatch.undo()
    assert os.listdir(tmp_path / "top") == ["b"]


def test_a_thread_that_fails_is_reported_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(threads, "PAUSE_S", 0.0)
    calls: list[str] = []
    done = threading.Event()

    def run(what: str) -> None:
        calls.append(what)
        if len(calls) < 3:
            raise RecursionError("too deep")
        done.set()

    thread = threads.lasting(run, "remover", "work")
    thread.start()
    assert done.wait(10)
    thread.join(10)
    assert calls == ["work"] * 3
    said = capsys.readouterr().err
    assert said.count("the thread 'remover' failed") == 2
    assert "RecursionError: too deep" in said
