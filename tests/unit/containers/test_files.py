"""Paths of `cp`, and trees packed, unpacked and compared, without a container."""

import io
import os
import tarfile

import pytest

from labkit.containers.inside.files import absolute, base_name
from labkit.containers.trees.changes import ADDED, MODIFIED, changes
from labkit.errors import InvalidParameterError
from labkit.images.archives.packer import Packer


@pytest.mark.parametrize(
    ("path", "clean", "name"),
    [
        ("/a/b", "/a/b", "b"),
        ("a", "/a", "a"),
        ("/a/", "/a/", "a"),
        ("/a/.", "/a/.", "."),
        (".", "/.", "."),
        ("/", "/", "/"),
        ("/../../etc", "/etc", "etc"),
        ("//a", "/a", "a"),
    ],
)
def test_paths_keep_the_slash_and_the_dot_that_mean_something(path, clean, name):
    assert absolute(path) == clean
    assert base_name(clean) == name


@pytest.mark.parametrize("path", ["", "/a\0b"])
def test_what_is_no_path(path):
    with pytest.raises(InvalidParameterError):
        absolute(path)


def packed(path, name):
    stream = io.BytesIO()
    packer = Packer(stream)
    packer.add_tree(str(path), name)
    packer.close()
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def test_an_archive_has_what_the_tree_has(tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/file").write_text("x")
    os.link(tree / "sub/file", tree / "zweiter")
    os.symlink("../nowhere", tree / "link")
    os.mkfifo(tree / "pipe")
    os.utime(tree / "sub/file", ns=(1, 1_234_567_890_123_456_789))
    (tree / os.fsdecode(b"bad\xff")).write_bytes(b"")
    with packed(tree, "t") as archive:
        members = {member.name: member for member in archive}
    assert members["t"].isdir()
    assert members["t/sub/file"].size == 1
    assert members["t/sub/file"].pax_headers["mtime"] == "1234567890.123456789"
    assert (members["t/zweiter"].islnk(), members["t/zweiter"].linkname) == (True, "t/sub/file")
    assert members["t/link"].linkname == "../nowhere"
    assert members["t/pipe"].isfifo()
    assert os.fsdecode(b"t/bad\xff") in members


def test_the_root_is_a_slash_and_its_children_begin_with_it(tmp_path):
    (tmp_path / "a").mkdir()
    with packed(tmp_path, "/") as archive:
        assert archive.getnames() == ["", "/a"] or archive.getnames() == ["/", "/a"]


def test_changes_between_two_folders(tmp_path):
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for side in (upper, lower):
        (side / "etc/deep").mkdir(parents=True)
        (side / "etc/same").write_text("same")
        os.utime(side / "etc/same", (1, 1))
    (lower / "etc/changed").write_text("old")
    (upper / "etc/changed").write_text("new!")
    (upper / "etc/deep/new").write_text("")
    (upper / "etc/hosts").write_text("")
    (upper / "dev").mkdir()
    fds = [os.open(side, os.O_RDONLY) for side in (upper, lower)]
    found = changes(*fds)
    for fd in fds:
        os.close(fd)
    assert found == [
        ("/etc", MODIFIED),
        ("/etc/changed", MODIFIED),
        ("/etc/deep", MODIFIED),
        ("/etc/deep/new", ADDED),
    ]
