"""Hostile layers on top of others: bombs, headers without end, overlay's own words, digests."""

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import ImageStore, layers
from tests.images import DOCUMENT, archive, assert_nothing_left, entry

pytestmark = pytest.mark.root


LOWER = (
    entry("file", content=b"below"),
    entry("folder/inner", content=b"below"),
    entry("link", tarfile.SYMTYPE, linkname="folder"),
    entry("out", tarfile.SYMTYPE, linkname="/etc"),
)


def stacked(store: ImageStore, upper: io.BytesIO) -> list[str]:
    with store.draft() as draft:
        draft.add_tar(archive(*LOWER))
        draft.add_tar(upper)
        return draft.commit(DOCUMENT).layer_directories()


def whiteout_device(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, tarfile.CHRTYPE, devmajor=0, devminor=0)


REFUSED = {
    "parent": ([entry("../x")], "leads out of the image"),
    "whiteout of the parent": ([entry("folder/.wh...")], "whiteout names no file"),
    "whiteout of the root": ([entry(".wh..")], "whiteout names no file"),
    "hard link to the layer below": (
        [entry("new", tarfile.LNKTYPE, linkname="file")],
        "a hard link to 'file', which is missing",
    ),
    "hard link to itself": (
        [entry("new", tarfile.LNKTYPE, linkname="new")],
        "a hard link to 'new', which is missing",
    ),
    "an owner out of range": ([entry("new", uid=1 << 40)], "ids are at most 4294967294"),
    "hard link out": ([entry("new", tarfile.LNKTYPE, linkname="../../x")], "leads out"),
    "hard link through a link": (
        [entry("l", tarfile.SYMTYPE, linkname="/"), entry("h", tarfile.LNKTYPE, linkname="l/x")],
        "which is missing",
    ),
    "a link into itself": (
        [entry("l", tarfile.SYMTYPE, linkname="l"), entry("l/x")],
        "symbolic links|Not a directory|File exists",
    ),
    "a device number out of range": (
        [entry("d", tarfile.CHRTYPE, devmajor=0o7777777, devminor=0o7777777)],
        "'d'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_hostile_layer_is_refused(store: ImageStore, root: Path, case: str) -> None:
    """CVE-2014-6407 and CVE-2014-9357: links and names that lead out of the layer."""
    members, message = REFUSED[case]
    with pytest.raises(InvalidParameterError, match=message) as caught:
        stacked(store, archive(entry("first"), *members))
    assert "\n" not in str(caught.value)
    assert_nothing_left(store, root)


def test_a_file_through_a_link_stays_inside(store: ImageStore, folder: Path) -> None:
    victim = folder / "victim"
    victim.mkdir()
    top, _ = stacked(
        store,
        archive(
            entry(f"{victim}/inner"),
            entry("way", tarfile.SYMTYPE, linkname=str(victim)),
            entry("way/file", content=b"x"),
            entry("way/.wh.hidden"),
            entry("passwd", tarfile.SYMTYPE, linkname="/etc/passwd"),
            entry("passwd", content=b"not the host's"),
        ),
    )
    assert os.listdir(victim) == []
    assert Path(f"{top}{victim}/file").read_bytes() == b"x"
    assert Path(top, "passwd").read_bytes() == b"not the host's"


def test_overlays_own_words_are_not_taken_from_an_archive(store: ImageStore) -> None:
    headers = {
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.trusted.overlay.metacopy": "",
    }
    top, _ = stacked(store, archive(entry("folder", tarfile.DIRTYPE, pax_headers=headers)))
    assert os.listxattr(f"{top}/folder") == []


def test_a_header_without_end_takes_no_memory(store: ImageStore, root: Path) -> None:
    """A name of two gigabytes would be read whole."""
    for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        member = tarfile.TarInfo("x")
        member.type, member.size = kind, 2 << 30
        endless = io.BytesIO(member.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
        with pytest.raises(InvalidParameterError, match="a header has 2147483648 bytes"):
            stacked(store, endless)
    assert_nothing_left(store, root)


def test_bombs(store: ImageStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LAYER_MAX_BYTES", 10_000_000)
    zeros = gzip.compress(archive(entry("zeros", content=bytes(20_000_000))).getvalue())
    files = archive(*(entry(f"f{number}") for number in range(3000)))
    for bomb in (io.BytesIO(zeros), files):
        with pytest.raises(InvalidParameterError, match="unpacks to more than 10000000 bytes"):
            stacked(store, bomb)
    assert_nothing_left(store, root)


def test_a_bomb_of_entries(store: ImageStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LAYER_MAX_ENTRIES", 1000)
    for name in ("f", ".wh.f"):
        with pytest.raises(InvalidParameterError, match="it has more than 1000 entries"):
            stacked(store, archive(*(entry(f"{name}{number}") for number in range(1001))))
    assert_nothing_left(store, root)
    stacked(store, archive(*(entry(f"f{number}") for number in range(1000))))


def test_zeros_take_no_room(store: ImageStore) -> None:
    top, _ = stacked(store, archive(entry("zeros", content=b"a" + bytes(50_000_000) + b"b")))
    found = os.stat(f"{top}/zeros")
    assert found.st_size == 50_000_002
    assert found.st_blocks * 512 < 2_000_000
    assert Path(top, "zeros").read_bytes() == b"a" + bytes(50_000_000) + b"b"


def test_a_device_that_is_a_whiteout_hides_no_more_than_one(store: ImageStore) -> None:
    """0/0 is what overlayfs takes for a deleted file; in an archive it says just that."""
    top, _ = stacked(store, archive(whiteout_device("file")))
    found = os.lstat(f"{top}/file")
    assert stat.S_ISCHR(found.st_mode)
    assert found.st_rdev == 0


def test_a_layer_as_deep_as_it_can_be(store: ImageStore) -> None:
    top, _ = stacked(store, archive(entry("d/" * 200 + "file", content=b"x")))
    assert Path(top, "d/" * 200 + "file").read_bytes() == b"x"
