"""The volume store on a folder of the test's own."""

import os
import threading

import pytest

from labkit.containers.given.volumes import Volumes
from labkit.containers.records.remover import Remover
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError


@pytest.fixture
def store(tmp_path):
    return Volumes(str(tmp_path), Remover(str(tmp_path)))


def test_a_volume_is_a_folder_that_a_new_daemon_finds_again(store, tmp_path):
    made = store.create("data", {"a": "b"})
    assert os.listdir(made.data) == []
    (found,) = Volumes(str(tmp_path), Remover(str(tmp_path))).list()
    assert (found.name, found.record.labels, found.data) == ("data", {"a": "b"}, made.data)
    assert not found.is_anonymous
    assert store.create("data") is made
    assert store.create().is_anonymous


def test_what_cannot_be_made(store):
    with pytest.raises(InvalidParameterError, match="invalid characters"):
        store.create("../evil")
    with pytest.raises(NotFoundError, match='plugin "nfs" not found'):
        store.create("data", driver="nfs")
    with pytest.raises(InvalidParameterError, match="missing required option"):
        store.create("data", options={"type": "tmpfs"})
    assert store.list() == []


def test_what_is_in_use_stays(store):
    store.claim("data", "c1")
    store.claim("data", "c2")
    with pytest.raises(ConflictError, match=r"volume is in use - \[c1, c2\]"):
        store.remove("data")
    store.release(["data"], "c1")
    store.release(["data"], "c2")
    store.remove("data")
    with pytest.raises(NotFoundError, match="get data: no such volume"):
        store.remove("data")


def test_only_a_new_and_empty_volume_is_filled(store):
    filled = []

    def fill(folder):
        filled.append(folder)
        with open(f"{folder}/x", "w") as file:
            file.write("from the image")

    volume = store.claim("data", "c1", fill=fill)
    assert os.listdir(volume.data) == ["x"]
    store.claim("data", "c2", fill=fill)
    store.release(["data"], "c1")
    store.release(["data"], "c2")
    store.claim("data", "c3", fill=fill)
    assert len(filled) == 1


def test_half_a_copy_is_none(store):
    def fill(folder):
        with open(f"{folder}/x", "w") as file:
            file.write("half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        store.claim("data", "c1", fill=fill)
    assert os.listdir(store.find("data").data) == []
    assert store.find("data").users == set()


def test_the_second_user_waits_for_the_first_ones_copy(store):
    begun, go_on = threading.Event(), threading.Event()

    def slow_fill(folder):
        begun.set()
        assert go_on.wait(10)
        with open(f"{folder}/x", "w"):
            pass

    first = threading.Thread(target=store.claim, args=("data", "c1", None, slow_fill))
    first.start()
    assert begun.wait(10)
    seen = []
    second = threading.Thread(
        target=lambda: seen.append(os.listdir(store.claim("data", "c2", None, slow_fill).data))
    )
    second.start()
    second.join(0.1)
    assert second.is_alive()
    go_on.set()
    first.join(10)
    second.join(10)
    assert seen == [["x"]]


def test_leftovers_of_a_crash_go(store, tmp_path):
    os.makedirs(tmp_path / "volumes/.new-1/_data")
    os.makedirs(tmp_path / "removed/2/_data/deep")
    remover = Remover(str(tmp_path))
    Volumes(str(tmp_path), remover)
    remover.close()
    assert os.listdir(tmp_path / "volumes") == os.listdir(tmp_path / "removed") == []
