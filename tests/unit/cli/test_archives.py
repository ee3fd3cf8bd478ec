"""Packing and unpacking for `labkit cp`; hostile archives stay where they are unpacked."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from labkit.cli.archives.packing import Source, pack, unpack
from labkit.errors import InvalidParameterError, LabkitError


def archive(*members: tuple[str, dict[str, object], bytes]) -> list[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, fields, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(data))
    return [buffer.getvalue()]


DIRECTORY = {"type": tarfile.DIRTYPE, "mode": 0o755}


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): os.readlink(path)
        if path.is_symlink()
        else path.read_text()
        if path.is_file()
        else "/"
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "file").write_text("text" * 1000)
    (root / "link").symlink_to("inner/file")
    os.link(root / "inner" / "file", root / "same")
    (root / "empty").touch()
    return root


@pytest.mark.parametrize("piece_bytes", [1, 511, 1 << 20])
def test_there_and_back(source: Path, tmp_path: Path, piece_bytes: int) -> None:
    packed = b"".join(pack(Source(str(source), follow=False), "other"))
    pieces = [packed[at : at + piece_bytes] for at in range(0, len(packed), piece_bytes)]
    (tmp_path / "to").mkdir()
    unpack(pieces, str(tmp_path / "to"), "copy", keep_owners=False)
    assert tree(tmp_path / "to" / "copy") == tree(source)
    assert (tmp_path / "to/copy/same").samefile(tmp_path / "to/copy/inner/file")


def test_the_content_alone(source: Path, tmp_path: Path) -> None:
    packed = list(pack(Source(f"{source}/.", follow=False), "."))
    (tmp_path / "to").mkdir()
    unpack(packed, str(tmp_path / "to"), "", keep_owners=False)
    assert tree(tmp_path / "to") == tree(source)


def test_links_are_followed_only_when_asked(source: Path) -> None:
    link = str(source / "link")
    assert Source(link, follow=False).path == link
    followed = Source(link, follow=True)
    assert (followed.path, followed.name) == (str(source / "inner/file"), "link")


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(InvalidParameterError, match="cannot read /nosuch: No such file"):
        Source("/nosuch", follow=False)


@pytest.mark.parametrize(
    "members",
    [
        [("d", DIRECTORY, b""), ("d/../../evil", {}, b"x")],
        [("d", DIRECTORY, b""), ("d//evil", {}, b"x")],
        [
            ("d", DIRECTORY, b""),
            ("d/out", {"type": tarfile.SYMTYPE, "linkname": ".."}, b""),
            ("d/out/evil", {}, b"x"),
        ],
        [("d", {"type": tarfile.SYMTYPE, "linkname": ".."}, b""), ("d/evil", {}, b"x")],
        [
            ("d", DIRECTORY, b""),
            ("d/out", {"type": tarfile.SYMTYPE, "linkname": "/etc"}, b""),
            ("d/hard", {"type": tarfile.LNKTYPE, "linkname": "d/out/passwd"}, b""),
        ],
        [
            ("d", DIRECTORY, b""),
            ("d/out", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, b""),
            ("d/hard", {"type": tarfile.LNKTYPE, "linkname": "d/out"}, b""),
        ],
    ],
    ids=["dots", "absolute", "link", "root-is-link", "hard-link", "hard-link-of-a-link"],
)
def test_nothing_leaves_the_folder(tmp_path: Path, members: list[object]) -> None:
    (tmp_path / "to").mkdir()
    with pytest.raises(LabkitError):
        unpack(archive(*members), str(tmp_path / "to"), "copy", keep_owners=False)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "to" / "evil").exists()
    assert not os.path.lexists(tmp_path / "to" / "copy" / "hard")


@pytest.mark.parametrize(("keeps", "mode"), [(False, 0o755), (True, 0o6755)])
def test_only_an_archive_s_copy_keeps_the_power_of_a_program(
    tmp_path: Path, keeps: bool, mode: int
) -> None:
    """Its owner in the container is not its owner here, which may be root."""
    members = [("d", DIRECTORY, b""), ("d/su", {"mode": 0o6755}, b"x")]
    owner = {"uid": os.geteuid(), "gid": os.getegid()}
    members = [(name, fields | owner, data) for name, fields, data in members]
    unpack(archive(*members), str(tmp_path), "copy", keep_owners=keeps)
    assert stat.S_IMODE((tmp_path / "copy" / "su").stat().st_mode) == mode


@pytest.mark.root
def test_a_copied_device_is_closed_to_other_users(tmp_path: Path) -> None:
    null = {"type": tarfile.CHRTYPE, "mode": 0o666, "devmajor": 1, "devminor": 3}
    unpack(archive(("null", null, b"")), str(tmp_path), "null", keep_owners=False)
    assert stat.S_IMODE((tmp_path / "null").stat().st_mode) == 0o600


def test_a_link_that_is_there_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "copy").symlink_to(tmp_path / "precious")
    unpack(archive(("f", {}, b"theirs")), str(tmp_path / "to"), "copy", keep_owners=False)
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "to" / "copy").read_text() == "theirs"


def test_folders_and_files_do_not_replace_each_other(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(LabkitError, match="cannot overwrite a directory with a file"):
        unpack(archive(("f", {}, b"x")), str(tmp_path), "copy", keep_owners=False)


def test_an_archive_that_is_cut_off(tmp_path: Path) -> None:
    [whole] = archive(("f", {}, b"x" * 5000))
    with pytest.raises(LabkitError, match="archive is damaged"):
        unpack([whole[:2000]], str(tmp_path), "copy", keep_owners=False)
