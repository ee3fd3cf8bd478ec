"""The plain tar header against the library's reading of it."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.cli.archives import tar_header
from labkit.cli.archives.tar_header import Member, header

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=120)


def read(member: Member) -> tarfile.TarInfo:
    data = header(member) + bytes(2 * tar_header.BLOCK_BYTES)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as archive:
        found = archive.next()
    assert found is not None
    return found


@settings(max_examples=200, deadline=None)
@given(
    name=NAMES,
    target=NAMES,
    kind=st.sampled_from([tar_header.FOLDER, tar_header.LINK, tar_header.PIPE, tar_header.FILE]),
    mode=st.integers(0, 0o7777),
    mtime_s=st.integers(0, 2**35),
)
def test_every_member_is_read_as_it_was_written(
    name: str, target: str, kind: bytes, mode: int, mtime_s: int
) -> None:
    member = Member(name, kind)
    member.mode, member.mtime_s = mode, mtime_s
    member.target = target if kind == tar_header.LINK else ""
    found = read(member)
    assert (found.name, found.type, found.linkname) == (name, kind, member.target)
    assert (found.mode, found.mtime, found.uid, found.gid) == (mode, mtime_s, 0, 0)


@pytest.mark.parametrize("size_bytes", [0, 1, tar_header.NUMBER_MAX, tar_header.NUMBER_MAX + 1])
def test_sizes(size_bytes: int) -> None:
    data = header(Member("file", size_bytes=size_bytes))
    found = tarfile.TarInfo.frombuf(data[-tar_header.BLOCK_BYTES :], "utf-8", "strict")
    with_more = len(data) > tar_header.BLOCK_BYTES
    assert with_more == (size_bytes > tar_header.NUMBER_MAX)
    assert with_more or found.size == size_bytes


def test_a_capability_is_an_extended_attribute() -> None:
    member = Member("file")
    member.capability = "\udc80\x01"
    assert read(member).pax_headers[tar_header.CAPABILITY_HEADER] == "\udc80\x01"
