"""Heads of archives are byte for byte those of tarfile."""

import io
import random
import tarfile

import pytest

from labkit.images.archives.heads import head
from labkit.images.archives.packer import Packer
from labkit.images.archives.reader import Member

NAMES = ("a", "folder/file", "n" * 100, "n" * 101, "d/" * 60 + "end", "ümlaut", "sp ace", "\udcff")
LINKS = ("", "there", "l" * 100, "l" * 101, "ö")
TYPES = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE)
TIMES = (0, 1, 1_700_000_000, 8**11 - 1, 8**11, -5, 1.5)
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"mtime": "1700000000.000000001"},
    {"mtime": "1" * 80},
    {"mtime": "1" * 93},
    {"mtime": "1" * 200},
    {"SCHILY.xattr.user.a": "b"},
    {"mtime": "1.5", "SCHILY.xattr.user.a": "\udcff"},
)
NUMBERS = (0, 1000, 8**7 - 1, 8**7, 2**32 - 2)
SIZES = (0, 1, 8**11 - 1, 8**11)


def expected(member: tarfile.TarInfo) -> bytes:
    return member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


@pytest.mark.parametrize("seed", range(4))
def test_a_head_is_what_tarfile_writes(seed: int) -> None:
    choose = random.Random(seed).choice
    for _ in range(2000):
        member = Member(choose(NAMES))
        member.type, member.linkname = choose(TYPES), choose(LINKS)
        member.mode, member.size, member.mtime = (
            choose((0, 0o644, 0o7777, 0o100755)),
            choose(SIZES),
            choose(TIMES),
        )
        member.uid, member.gid = choose(NUMBERS), choose(NUMBERS)
        member.pax_headers = dict(choose(HEADERS))
        assert head(member) == expected(member)


def test_a_packed_archive_is_what_tarfile_writes() -> None:
    ours, theirs = io.BytesIO(), io.BytesIO()
    packer = Packer(ours)
    with tarfile.open(mode="w|", fileobj=theirs, format=tarfile.PAX_FORMAT) as archive:
        for number in range(30):
            member = tarfile.TarInfo(f"folder/{number}")
            packer.write(member)
            archive.addfile(member)
    packer.close()
    assert ours.getvalue() == theirs.getvalue()
