"""Contexts as archives: found by name and wildcard, hashed, packed; links lead nowhere else."""

import io
import tarfile

import pytest

from labkit.build.context.archive import Archive
from labkit.build.context.tars import of_tar
from labkit.build.sources import Source, Sources, content_key, packed, select
from labkit.errors import InvalidParameterError, NotFoundError


def archive(*members: tuple[str, str], **fields: object) -> Archive:
    """Files (`content`), links (`-> target`), hard links (`= name`) and folders (`/`)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            data = b""
            if content.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, content[3:]
            elif content.startswith("= "):
                member.type, member.linkname = tarfile.LNKTYPE, content[2:]
            elif content == "/":
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                data = content.encode()
            member.size = len(data)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(data))
    buffer.seek(0)
    return of_tar(buffer)


def key(found: Archive, *paths: str, excluded: tuple[str, ...] = ()) -> str:
    return content_key(select(found, paths, excluded))


def names(found: Archive, *paths: str, excluded: tuple[str, ...] = ()) -> list[str]:
    data = b"".join(packed(select(found, paths, excluded)))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_links_are_followed_within() -> None:
    found = archive(("d/f", "x"), ("l", "-> /d"), ("d/up", "-> ../../../d/f"), ("m", "-> l/up"))
    assert found.read(found.find("l/f"), 10) == b"x"
    assert found.find("m") is found.find("d/f")
    with pytest.raises(NotFoundError):
        found.find("d/f/none")


def test_a_circle_of_links_ends() -> None:
    with pytest.raises(InvalidParameterError, match="too many symbolic links"):
        archive(("a", "-> b"), ("b", "-> a")).find("a")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([("../x", "")], "leads out of the image"),
        ([("l", "-> /etc"), ("l/x", "")], "not a folder"),
        ([("f", "x"), ("f/x", "")], "not a folder"),
        ([("h", "= /etc/passwd")], "is not there"),
        ([("d", "/"), ("h", "= d")], "hard link to a folder"),
    ],
)
def test_hostile_archives_are_refused(members: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(InvalidParameterError, match=why):
        archive(*members)


def test_an_archive_may_end_with_its_last_file_but_not_within_it() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("f")
        member.size = 600
        tar.addfile(member, io.BytesIO(b"x" * 600))
    whole = buffer.getvalue()[: tarfile.BLOCKSIZE + 600]
    found = of_tar(io.BytesIO(whole))
    assert found.read(found.find("f"), 600) == b"x" * 600
    with pytest.raises(InvalidParameterError, match="'f' ends 1 bytes too early"):
        of_tar(io.BytesIO(whole[:-1]))


def test_a_device_is_none_of_a_context() -> None:
    with pytest.raises(InvalidParameterError, match="is a device"):
        archive(("d", ""), type=tarfile.CHRTYPE)


def test_the_key_knows_names_content_modes_and_owners_but_no_times() -> None:
    plain = key(archive(("d/f", "x")), "d")
    assert plain.startswith("dir:")
    assert key(archive(("d/f", "x"), mtime=99), "d") == plain
    assert key(archive(("d/g", "x")), "d") != plain
    assert key(archive(("d/f", "y")), "d") != plain
    assert key(archive(("d/f", "x"), mode=0o755), "d") != plain
    assert key(archive(("d/f", "x"), uid=5), "d") != plain
    assert key(archive(("d/f", "-> x")), "d") != plain


def test_the_key_knows_nothing_of_what_is_not_copied() -> None:
    one = archive(("a", "1"), ("b", "2"))
    other = archive(("a", "1"), ("b", "changed"))
    assert key(one, "a") == key(other, "a")
    assert key(one, "a").startswith("file:")
    assert key(one, "a", "b").startswith("multi:")
    assert key(one, ".", excluded=("b",)) == key(other, ".", excluded=("b",))


def test_what_is_packed() -> None:
    found = archive(("a.txt", "1"), ("d/b.txt", "2"), ("d/e/c", "3"), ("l", "-> d/b.txt"))
    assert names(found, "a.txt") == ["0/a.txt"]
    assert names(found, "d") == ["0/b.txt", "0/e", "0/e/c"]
    assert names(found, "*.txt", "d/*") == ["0/a.txt", "1/b.txt", "2/c"]
    assert names(found, "l") == ["0/l"]
    assert names(found, "d", excluded=("**/c",)) == ["0/b.txt", "0/e"]


def test_hard_links_stay_links_among_what_is_copied() -> None:
    found = archive(("d/f", "x"), ("d/g", "= d/f"), ("h", "= d/f"))
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed(select(found, ["d"], ()))))) as tar:
        assert [(m.name, m.linkname) for m in tar] == [("0/f", ""), ("0/g", "0/f")]
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed(select(found, ["h"], ()))))) as tar:
        (alone,) = tar
        assert (alone.type, alone.size) == (tarfile.REGTYPE, 1)


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(InvalidParameterError, match="file does not exist"):
        select(archive(("a", "")), ["nothing"], ())


@pytest.mark.parametrize("path", ["../a", "/../../a", "b/../../a", "./a", "//a"])
def test_above_the_context_is_the_context(path: str) -> None:
    (found,) = select(archive(("a", "")), [path], ())
    assert found.path == "a"


def test_a_pattern_may_match_nothing() -> None:
    found = archive(("a", "x"))
    assert select(found, ["*.none"], ()) == []
    assert [source.path for source in select(found, ["*.none", "a"], ())] == ["a"]


def test_sources_of_known_layers_are_looked_at_once() -> None:
    found, looked = archive(("a", "x")), []

    def load() -> list[Source]:
        looked.append(1)
        return select(found, ["a"], ())

    known_by = ("sha256:of-this-test", "", "a")
    first, second = Sources(load, known_by), Sources(load, known_by)
    assert first.key == second.key == content_key(select(found, ["a"], ()))
    assert (second.count, looked) == (1, [1])
    assert Sources(load).key == first.key
    assert looked == [1, 1]
