"""Archives and trees for the tests of images."""

import fcntl
import io
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.images import Image, ImageStore
from labkit.images.models import RuntimeConfig
from labkit.images.store import new_document
from tests import leaks

HELPERS_TIMEOUT_S = 20.0
DOCUMENT = new_document(RuntimeConfig(cmd=["sh"]), "2024-01-01T00:00:00Z", [])


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for one test; trees with devices and odd names do not stay in pytest's."""
    path = leaks.new_folder("images-")
    try:
        yield Path(path)
    finally:
        subprocess.run(["rm", "-rf", path], check=True)


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def tree_of(image: Image) -> Path:
    (layer,) = image.layer_directories()
    return Path(layer)


def assert_nothing_left(store: ImageStore, root: Path) -> None:
    assert store.list() == []
    assert os.listdir(root / "staging") == []
    assert os.listdir(root / "layers") == []
    assert os.listdir(root / "images/blobs/sha256") == []


def survey(root: Path) -> dict[str, tuple[object, ...]]:
    """Return the facts of every file of a tree that an image keeps."""
    seen: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, list[str]] = {}
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files] if folder == str(root) else [*folders, *files]:
            path = os.path.normpath(os.path.join(folder, name))
            found = os.lstat(path)
            short = os.path.relpath(path, root)
            content: object = None
            if stat.S_ISREG(found.st_mode):
                content = Path(path).read_bytes()
                inodes.setdefault(found.st_ino, []).append(short)
            elif stat.S_ISLNK(found.st_mode):
                content = os.readlink(path)
            attributes = {
                key: os.getxattr(path, key, follow_symlinks=False)
                for key in os.listxattr(path, follow_symlinks=False)
            }
            seen[short] = (
                *(oct(found.st_mode), found.st_uid, found.st_gid, found.st_rdev),
                *(found.st_mtime_ns, content, attributes),
            )
    links = sorted(sorted(names) for names in inodes.values() if len(names) > 1)
    seen["(hard links)"] = (links,)
    return seen


def wait_for_helpers(root: Path) -> None:
    """Wait for the helpers of a killed process: they hold its folder of unfinished work."""
    deadline = time.monotonic() + HELPERS_TIMEOUT_S
    for path in (root / "staging").iterdir():
        while is_held(path):
            assert time.monotonic() < deadline, f"{path} is still held"
            time.sleep(0.02)


def is_held(path: Path) -> bool:
    """Whether a process has the folder locked; False for a missing folder."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def assert_consistent(root: Path) -> ImageStore:
    """Check that the disk has exactly the parts of the images in the index, all complete."""
    store = ImageStore(str(root))
    images = store.list()
    blobs, trees = set(), set()
    for image in images:
        blobs |= store.blobs_of([store.entry(image)])
        trees |= {os.path.basename(tree) for tree in image.layer_directories()}
    found = {f"sha256:{name}" for name in os.listdir(root / "images/blobs/sha256")}
    assert found == blobs, f"too much or too little: {found ^ blobs}"
    found, notes = set(os.listdir(root / "layers")), {f"{name}.json" for name in trees}
    assert found == trees | notes, f"too much or too little: {found ^ (trees | notes)}"
    assert not (left := os.listdir(root / "staging")), f"unfinished: {left}"
    assert sorted(os.listdir(root / "images")) == ["blobs", "index.json", "oci-layout"]
    for digest in blobs:
        with store.open_blob(digest) as blob:
            assert blob.read()
    return store
