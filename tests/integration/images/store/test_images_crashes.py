"""Crashes at any moment, and several writers at once: the store stays whole."""

import io
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from labkit.errors import InvalidParameterError
from labkit.images import ImageStore
from tests.images import archive, assert_consistent, assert_nothing_left, entry, tree_of

pytestmark = pytest.mark.root


def test_killing_the_unpacker_leaves_nothing(store: ImageStore, root: Path) -> None:
    data = archive(entry("a", content=bytes(3_000_000)), entry("b", content=bytes(3_000_000)))

    class Murder(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if data.tell() > 2_000_000:
                for child in psutil.Process().children():
                    # One that was killed before may not have been waited for yet.
                    with suppress(psutil.NoSuchProcess):
                        if any("unpacker" in word for word in child.cmdline()):
                            child.kill()
            return data.read(size)

    with pytest.raises(InvalidParameterError, match="ended by signal 9"):
        store.import_tar(Murder(), "x")  # type: ignore[arg-type]
    assert_nothing_left(store, root)


IMPORT = "import sys; from labkit.images import ImageStore; " + (
    "print(ImageStore(sys.argv[1]).import_tar(sys.stdin.buffer, sys.argv[2]).id)"
)


def test_killing_the_whole_engine_leaves_what_the_next_one_removes(root: Path) -> None:
    before = ImageStore(str(root))
    kept = before.import_tar(archive(entry("kept")), "kept")
    data = archive(*(entry(f"f{n}", content=os.urandom(100_000)) for n in range(60))).getvalue()
    with subprocess.Popen(
        [sys.executable, "-c", IMPORT, root, "x"], stdin=subprocess.PIPE
    ) as engine:
        assert engine.stdin
        engine.stdin.write(data[: len(data) // 2])
        engine.stdin.flush()
        wait_for(lambda: any((root / "staging").glob("*/*/tree/f1?")))
        children = psutil.Process(engine.pid).children()
        ImageStore(str(root))
        assert os.listdir(root / "staging"), "another process's work in progress was swept away"
        engine.kill()
        engine.wait()
        psutil.wait_procs(children, timeout=10)
        assert [image.id for image in before.list()] == [kept.id]
        assert len(os.listdir(root / "layers")) == 2, "the kept layer and its note"
        assert os.listdir(root / "staging")
        assert [image.id for image in ImageStore(str(root)).list()] == [kept.id]
        assert os.listdir(root / "staging") == []


KILL_AT = """
import os, sys
from labkit.images import ImageStore
from labkit.images.layers import Layers
from labkit.images.layout import Layout

root, what, owner, name, when, count = sys.argv[1:]
owner = {"Layers": Layers, "Layout": Layout}[owner]
original, calls = getattr(owner, name), []

def deadly(self, *arguments):
    calls.append(1)
    last = len(calls) == int(count)
    if last and when == "before":
        os.kill(os.getpid(), 9)
    original(self, *arguments)
    if last:
        os.kill(os.getpid(), 9)

store = ImageStore(root)
setattr(owner, name, deadly)
if what == "import":
    store.import_tar(sys.stdin.buffer, "kept")
else:
    store.remove("going")
"""


@pytest.mark.parametrize(
    "moment",
    [
        "import Layers adopt before 1",
        "import Layers adopt after 1",
        "import Layout adopt_blob after 1",
        "import Layout write_blob after 1",
        "import Layout write_index before 1",
        "import Layout write_index after 1",
        "remove Layout write_index before 1",
        "remove Layout write_index after 1",
        "remove Layers take_out after 1",
        "remove Layout remove_blob after 2",
    ],
)
def test_killed_at_any_moment_nothing_is_half_there(root: Path, moment: str) -> None:
    """Whatever is on disk afterwards belongs to an image in the index, and is whole."""
    store = ImageStore(str(root))
    store.import_tar(archive(entry("old")), "kept")
    store.import_tar(archive(entry("own")), "going")
    new = archive(entry("new")).getvalue()
    command = [sys.executable, "-c", KILL_AT, str(root), *moment.split()]
    killed = subprocess.run(command, input=new, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()

    after = ImageStore(str(root))
    images = after.list()
    did_happen = moment.split()[1:4] == ["Layout", "write_index", "after"]
    if moment.startswith("import"):
        assert ("new" in os.listdir(tree_of(after.resolve("kept")))) == did_happen
    assert after.resolve("kept").tags == ["kept:latest"]
    blobs = {blob.digest for image in images for blob in (*image.layers, image.manifest.config)}
    blobs |= {image.digest for image in images}
    on_disk = {f"sha256:{name}" for name in os.listdir(root / "images/blobs/sha256")}
    assert on_disk == blobs
    trees = {tree_of(image).name for image in images}
    assert set(os.listdir(root / "layers")) == trees | {f"{name}.json" for name in trees}
    assert os.listdir(root / "staging") == []


def wait_for(condition: object, timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_what_a_killed_writer_left_goes_when_the_store_is_opened(
    store: ImageStore, root: Path
) -> None:
    """A note, a blob or the index half written when it was killed; what is whole stays."""
    store.import_tar(archive(entry("file", content=b"text")), "kept")
    folders = [root / "layers", root / "images", root / "images/blobs/sha256"]
    for folder in folders:
        (folder / "0123abcd.json.4242.tmp").write_bytes(b"{")
    assert_consistent(root)


def test_threads_and_processes_write_at_once(store: ImageStore, root: Path) -> None:
    threads = [
        threading.Thread(target=store.import_tar, args=(archive(entry(f"t{n}")), f"thread:{n}"))
        for n in range(6)
    ]
    processes = []
    for number in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", IMPORT, root, f"process:{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert process.stdin
        process.stdin.write(archive(entry(f"p{number}")).getvalue())
        process.stdin.close()
        processes.append(process)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    expected = {f"thread:{n}" for n in range(6)} | {f"process:{n}" for n in range(3)}
    assert {tag for image in store.list() for tag in image.tags} == expected
    for name in expected:
        assert tree_of(store.resolve(name)).is_dir()
