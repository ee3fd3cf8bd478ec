"""What a packer writes of sparse files: their holes as zeros, up to the size of their disk."""

import errno
import io
import os
import tarfile
from pathlib import Path

import pytest

from labkit.images.archives.numbers import BadArchiveError
from labkit.images.archives.packer import HOLES_MIN_BYTES, Packer


class Nowhere(io.RawIOBase):
    """Takes a little; more than that is a test that would run for hours."""

    left_bytes = 1 << 20

    def write(self, data: object) -> int:
        self.left_bytes -= len(bytes(data))  # type: ignore[call-overload]
        assert self.left_bytes > 0, "zeros are written"
        return len(bytes(data))  # type: ignore[call-overload]


def disk_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return max(disk.f_blocks * disk.f_frsize, HOLES_MIN_BYTES)


def sparse(path: Path, size: int) -> Path:
    path.touch()
    os.truncate(path, size)
    return path


def test_a_file_with_holes_is_written_whole(tmp_path: Path) -> None:
    with sparse(tmp_path / "x", 3 << 20).open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"piece")
    written = io.BytesIO()
    packer = Packer(written)
    packer.add_tree(str(tmp_path / "x"), "x")
    packer.close()
    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        content = archive.extractfile("x")
        assert content is not None
        assert content.read() == (tmp_path / "x").read_bytes()


def test_holes_larger_than_the_disk_are_refused_with_the_files_name(tmp_path: Path) -> None:
    sparse(tmp_path / "huge", disk_bytes(tmp_path) + (1 << 20))
    with pytest.raises(
        BadArchiveError, match=r"'etc/huge' of .* bytes cannot be put in an archive"
    ):
        Packer(Nowhere()).add_tree(str(tmp_path / "huge"), "etc/huge")  # type: ignore[arg-type]


def test_holes_of_many_files_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        sparse(tmp_path / name, 400 << 10)
    found = os.statvfs_result((4096, 4096, 256, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda fd: found)
    monkeypatch.setattr("labkit.images.archives.packer.HOLES_MIN_BYTES", 0)
    with pytest.raises(BadArchiveError, match="'c' of 409600 bytes"):
        Packer(io.BytesIO()).add_tree(str(tmp_path), "")


def test_a_file_with_two_names_has_its_holes_once(tmp_path: Path) -> None:
    sparse(tmp_path / "a", 600 << 10)
    os.link(tmp_path / "a", tmp_path / "b")
    packer = Packer(io.BytesIO())
    packer.add_tree(str(tmp_path), "")
    assert packer._holes_bytes == 600 << 10


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
def test_a_file_that_is_replaced_while_it_is_read_is_left_out(tmp_path, monkeypatch, number):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    real = os.open

    def replaced(path, flags, *rest, **options):
        if str(path).endswith("/a"):
            raise OSError(number, os.strerror(number), path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", replaced)
    output = io.BytesIO()
    packer = Packer(output)
    packer.add_tree(str(tmp_path), "t")
    packer.close()
    assert tarfile.open(fileobj=io.BytesIO(output.getvalue())).getnames() == ["t", "t/b"]
