"""Archives and trees for the tests of images."""

import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.images import Image, ImageStore
from tests.leaks import RUN_NAME


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of the test's own; trees with devices and odd names do not stay in pytest's."""
    path = tempfile.mkdtemp(prefix=f"{RUN_NAME}-images-")
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
