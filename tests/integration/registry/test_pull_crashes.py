"""`kill -9` of the daemon in the middle of pull and push: the store is whole, nothing is left."""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.images import ImageStore
from labkit.images.chains import chain_ids
from tests.images import archive, entry
from tests.lab import Lab
from tests.registries import LabkitRegistry, digest_of

pytestmark = pytest.mark.root

MOMENTS = 6


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LabkitRegistry]:
    running = LabkitRegistry(str(tmp_path))
    yield running
    running.end()


def assert_consistent(lab: Lab, images: int) -> None:
    """Every blob is what its name says, all are referred to, and so are the layers."""
    store = ImageStore(lab.root)
    found = store.list()
    assert len(found) == images
    blobs = Path(lab.root, "images/blobs/sha256")
    for path in blobs.iterdir():
        assert digest_of(path.read_bytes()) == f"sha256:{path.name}"
    wanted = {
        digest
        for image in found
        for digest in (image.digest, image.id, *(layer.digest for layer in image.layers))
    }
    assert {f"sha256:{path.name}" for path in blobs.iterdir()} == wanted
    chains = {chain[7:] for image in found for chain in chain_ids(image.diff_ids)}
    trees = {path.name for path in Path(lab.root, "layers").iterdir() if path.is_dir()}
    assert trees <= chains | {"empty"}
    assert list(Path(lab.root, "staging").iterdir()) == []


def test_at_random_moments(make_lab: Callable[[], Lab], registry: LabkitRegistry) -> None:
    lab = make_lab()
    name = f"{registry.address}/lab/large:1"
    content = os.urandom(8 << 20)
    tar = archive(entry("large", content=content), entry("small", content=b"x")).getvalue()
    made = subprocess.run(
        lab.argv("import", "-", name), env=lab.env, input=tar, capture_output=True, check=True
    )
    seconds = []
    for verb in ("push", "pull"):
        started = time.monotonic()
        assert lab.cli(verb, name).returncode == 0
        seconds.append(time.monotonic() - started)
    image_id = made.stdout.decode().strip()
    (digest,) = ImageStore(lab.root).resolve(name).repo_digests
    for number in range(MOMENTS):
        # A push first, of a blob that the registry has lost; then a pull of all of it.
        other = f"{registry.address}/lab/other{number}:1"
        lab.cli("tag", image_id, other)
        crash_in(lab, seconds[0], "push", other)
        assert lab.cli("push", other).returncode == 0
        lab.cli("rmi", "-f", image_id)
        assert_consistent(lab, 1)
        wanted = (name, digest)[number % 2]
        crash_in(lab, seconds[0], "pull", wanted)
        found = sorted(image.names for image in ImageStore(lab.root).list())
        expected = sorted({wanted, digest})
        assert found in ([["busybox:latest"]], [expected, ["busybox:latest"]]), found
        assert lab.cli("pull", wanted).returncode == 0
        assert_consistent(lab, 2)
        assert ImageStore(lab.root).resolve(wanted).names == expected
        assert lab.cli("images", "-q", "--no-trunc", wanted).stdout.strip() == image_id


def test_memory_does_not_grow_with_the_layer(
    make_lab: Callable[[], Lab], registry: LabkitRegistry
) -> None:
    lab = make_lab()
    peaks = []
    for number, size in enumerate((1 << 20, 64 << 20)):
        name = f"{registry.address}/lab/memory:{number}"
        tar = archive(entry("random", content=os.urandom(size))).getvalue()
        subprocess.run(
            lab.argv("import", "-", name), env=lab.env, input=tar, capture_output=True, check=True
        )
        lab.stop_daemon()
        lab.start_daemon()
        for verb in ("push", "rmi", "pull"):
            assert lab.cli(verb, name).returncode == 0
        status = Path(f"/proc/{lab.daemon_pid()}/status").read_text()
        (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        peaks.append(int(peak))
    assert peaks[1] - peaks[0] < 8 * 1024, peaks


def crash_in(lab: Lab, seconds: float, *words: str) -> None:
    command = subprocess.Popen(
        lab.argv(*words), env=lab.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(random.uniform(0.08, 0.1 + seconds))
    lab.kill_daemon()
    command.wait(20)
    lab.start_daemon()
