"""kill -9 at random moments of load, commit and rmi: nothing is half there afterwards."""

import io
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labkit.images import ImageStore, loading, saving
from labkit.images.image import Image
from tests.images import DOCUMENT, archive, assert_consistent, entry, wait_for_helpers

pytestmark = pytest.mark.root

SEED = 20240501
ROUNDS = 7

WORK = """
import sys
from labkit.images import ImageStore, loading
from labkit.images.store import new_document
from labkit.images.models import RuntimeConfig

root, what, path = sys.argv[1:]
store = ImageStore(root)
print("ready", flush=True)
if what == "load":
    with open(path, "rb") as file:
        list(loading.load(store, file))
elif what == "commit":
    with store.draft() as draft:
        base = store.resolve("base")
        draft.start_from(base)
        draft.copy_upper(path)
        draft.commit(new_document(RuntimeConfig(), "2024-01-01T00:00:00Z", []), names=["made"],
                     parent=base.id)
else:
    store.remove("top")
print("done", flush=True)
"""


def files(count: int, prefix: str) -> io.BytesIO:
    rnd = random.Random(prefix)
    return archive(*(entry(f"{prefix}/{n}", content=rnd.randbytes(20_000)) for n in range(count)))


def stack(store: ImageStore) -> Image:
    base = store.import_tar(files(20, "base"), "base")
    with store.draft() as draft:
        draft.start_from(base)
        draft.add_tar(files(80, "top"))
        return draft.commit(DOCUMENT, names=["top"], parent=base.id)


def whole_time_s(root: Path, what: str, path: Path) -> float:
    """How long the work takes on this machine when nobody kills it."""
    command = [sys.executable, "-c", WORK, root, what, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        assert process.stdout.read() == "done\n"
        return time.monotonic() - started


def killed_after(root: Path, what: str, path: Path, delay_s: float) -> bool:
    """Whether it was killed, and not done before."""
    with subprocess.Popen(
        [sys.executable, "-c", WORK, root, what, path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay_s)
        process.kill()
        done = process.stdout.read()
    wait_for_helpers(root)
    return not done


def prepared(root: Path, what: str, archive_path: Path) -> Path:
    """Make `root` a store in which there is something to do."""
    store = ImageStore(str(root))
    if what == "rmi":
        list(loading.load(store, io.BytesIO(archive_path.read_bytes())))
    elif what == "commit" and not store.list():
        store.import_tar(files(20, "base"), "base")
    return root


@pytest.mark.parametrize("what", ["load", "commit", "rmi"])
def test_killed_at_a_random_moment(folder: Path, what: str) -> None:
    source = ImageStore(str(folder / "source"))
    top = stack(source)
    archive_path = folder / "saved.tar"
    archive_path.write_bytes(b"".join(saving.save(source, ["top", "base"])))
    upper = folder / "upper"
    upper.mkdir()
    for number in range(200):
        (upper / str(number)).write_bytes(os.urandom(10_000))
    root = folder / "root"
    path = archive_path if what == "load" else upper
    rehearsal = prepared(folder / "rehearsal", what, archive_path)
    longest_s = whole_time_s(rehearsal, what, path)
    rnd, rounds, killed = random.Random(SEED), 0, 0
    while rounds < ROUNDS or not killed:
        rounds += 1
        prepared(root, what, archive_path)
        delay_s = rnd.uniform(0, longest_s)
        if killed_after(root, what, path, delay_s):
            killed += 1
        else:
            longest_s = delay_s  # Done by then: a later round need not wait as long.
        after = assert_consistent(root)
        names = {tag for image in after.list() for tag in image.tags}
        assert names <= {"top:latest", "base:latest", "made:latest"}
        if what == "load":
            for tag in sorted(names):
                after.remove(tag)
            assert_consistent(root)
        if "made:latest" in names:
            assert len(os.listdir(after.resolve("made").layer_directories()[0])) == 200
            after.remove("made")
        if "top:latest" in names and what == "rmi":
            assert after.resolve("top").id == top.id
