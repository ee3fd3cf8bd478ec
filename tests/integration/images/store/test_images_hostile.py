"""Hostile and broken archives are refused in one line, and leave nothing anywhere."""

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import ImageStore
from tests.images import archive, assert_nothing_left, entry, tree_of

pytestmark = pytest.mark.root


def outside(folder: Path) -> tuple[Path, bytes]:
    victim = folder / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"untouched")
    return victim, b"untouched"


HOSTILE = {
    "parent": ([entry("../../victim/file", content=b"x")], "leads out of the image"),
    "parent in the middle": ([entry("a/../../../victim/file")], "leads out of the image"),
    "hard link out": (
        [entry("link", tarfile.LNKTYPE, linkname="../../victim/file")],
        "leads out of the image",
    ),
    "hard link to the host": (
        [entry("link", tarfile.LNKTYPE, linkname="/etc/passwd")],
        "which is missing",
    ),
    "root is a file": ([entry(".", content=b"x")], "the root of an image must be a folder"),
    "file below a file": ([entry("a"), entry("a/b")], "'a/b': Not a directory"),
    "whiteout of the parent": ([entry("a/.wh...")], "whiteout names no file"),
    "NUL in a name": ([entry("x", pax_headers={"path": "a\0b"})], "null"),
    "an owner out of range": ([entry("x", pax_headers={"uid": str(1 << 40)})], "'x': "),
    "too deep": ([entry("a/" * 2100 + "x")], "longer than 4095 bytes"),
    "an unknown type": ([entry("x", b"V")], "unknown type of member: b'V'"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line(
    store: ImageStore, root: Path, folder: Path, case: str
) -> None:
    victim, content = outside(folder)
    members, message = HOSTILE[case]
    with pytest.raises(InvalidParameterError, match=message) as caught:
        store.import_tar(archive(entry("first"), *members), "x")
    assert "\n" not in str(caught.value)
    assert os.listdir(victim) == ["file"]
    assert (victim / "file").read_bytes() == content
    assert_nothing_left(store, root)


def test_absolute_names_and_links_stay_inside(store: ImageStore, folder: Path) -> None:
    """CVE-2014-9356: a file written through a link that an earlier entry has made."""
    victim, content = outside(folder)
    image = store.import_tar(
        archive(
            entry(str(victim / "file"), content=b"inside"),
            entry("way-out", tarfile.SYMTYPE, linkname=str(victim)),
            entry("way-out/file", content=b"through the link"),
            entry("etc/x", content=b"x"),
            entry("etc-link", tarfile.SYMTYPE, linkname="/etc"),
            entry("etc-link/passwd", content=b"an image's own"),
            entry("file", content=b"replaced"),
            entry("file", tarfile.SYMTYPE, linkname="/etc/x"),
            entry("file", content=b"the last one counts"),
        ),
        "x",
    )
    tree = tree_of(image)
    assert (victim / "file").read_bytes() == content
    assert Path(f"{tree}{victim}/file").read_bytes() == b"through the link"
    assert (tree / "etc/passwd").read_bytes() == b"an image's own"
    assert (tree / "etc/x").read_bytes() == b"x"
    assert (tree / "file").read_bytes() == b"the last one counts"


def test_overlays_own_attributes_do_not_come_from_an_archive(store: ImageStore) -> None:
    headers = {"SCHILY.xattr.trusted.overlay.redirect": "/etc", "SCHILY.xattr.user.a": "b"}
    image = store.import_tar(archive(entry("d", tarfile.DIRTYPE, pax_headers=headers)), "x")
    assert os.listxattr(tree_of(image) / "d") == ["user.a"]


BROKEN = (
    *("no archive", "text", "empty", "cut in a file", "cut between files", "damaged header"),
    *("cut gzip",),
)


def broken(kind: str) -> bytes:
    good = archive(*(entry(f"file{n}", content=os.urandom(5000)) for n in range(20))).getvalue()
    damaged = bytearray(good)
    damaged[512 * 11 : 512 * 11 + 512] = os.urandom(512)  # the second member's header
    return {
        "no archive": os.urandom(10_000),
        "text": b"hello\n",
        "empty": b"",
        "cut in a file": good[: 512 * 30 + 77],
        "cut between files": good[: 512 * 11 + 100],
        "damaged header": bytes(damaged),
        "cut gzip": gzip.compress(good)[:-500],
    }[kind]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_archive_is_refused_and_leaves_nothing(
    store: ImageStore, root: Path, kind: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        store.import_tar(io.BytesIO(broken(kind)), "x")
    assert "\n" not in str(caught.value)
    assert_nothing_left(store, root)


def test_a_stream_that_fails_leaves_nothing(store: ImageStore, root: Path) -> None:
    data = archive(entry("file", content=bytes(3_000_000)))

    class Gone(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            if data.tell() > 1_000_000:
                raise ConnectionResetError
            return data.read(size)

    with pytest.raises(ConnectionResetError):
        store.import_tar(Gone(), "x")  # type: ignore[arg-type]
    assert_nothing_left(store, root)
