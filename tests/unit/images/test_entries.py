"""The names in `index.json`, as plain data."""

from labkit.images import models
from labkit.images.entries import enter, name_of, tagged_of, without_name
from labkit.images.models import Descriptor

ONE = Descriptor(models.MANIFEST, "sha256:" + "1" * 64, 1)
TWO = Descriptor(models.MANIFEST, "sha256:" + "2" * 64, 2)


def shown(entries: list[Descriptor]) -> list[tuple[str, str]]:
    return [(entry.digest[7], name_of(entry)) for entry in entries]


def test_a_new_image_has_its_name() -> None:
    assert shown(enter([], ONE, "a:1")) == [("1", "a:1")]
    assert shown(enter([], ONE)) == [("1", "")]


def test_a_name_goes_over_and_the_old_image_dangles() -> None:
    entries = enter(enter([], ONE, "a:1"), TWO, "a:1")
    assert sorted(shown(entries)) == [("1", ""), ("2", "a:1")]


def test_a_dangling_image_that_gets_a_name_dangles_no_more() -> None:
    assert shown(enter(enter([], ONE), ONE, "a:1")) == [("1", "a:1")]


def test_an_image_may_have_two_names_and_lose_one() -> None:
    entries = enter(enter([], ONE, "a:1"), ONE, "b:1")
    assert sorted(shown(entries)) == [("1", "a:1"), ("1", "b:1")]
    assert shown(without_name(entries, "a:1")) == [("1", "b:1")]
    assert shown(without_name(without_name(entries, "a:1"), "b:1")) == [("1", "")]


def test_the_same_again_changes_nothing() -> None:
    entries = enter([], ONE, "a:1")
    assert enter(entries, ONE, "a:1") == entries
    assert enter(entries, ONE) == entries


def test_a_name_keeps_the_moment_when_the_image_got_it() -> None:
    entries = enter([], ONE, "a:1", moment="1")
    assert tagged_of(entries[0]) == "1"
    assert enter(entries, ONE, "a:1", moment="2") == entries
    assert [tagged_of(each) for each in enter(entries, ONE, "b:1", moment="2")] == ["1", "2"]
    moved = {name_of(each): tagged_of(each) for each in enter(entries, TWO, "a:1", moment="3")}
    assert moved == {"": "", "a:1": "3"}


def test_names_of_other_programs_mean_what_docker_would_mean() -> None:
    def named(name: str) -> Descriptor:
        return Descriptor(models.MANIFEST, ONE.digest, 1, annotations={models.REF_NAME: name})

    assert name_of(named("latest")) == "latest:latest"
    assert name_of(named("docker.io/library/x")) == "x:latest"
    assert name_of(named(f"x:1@{ONE.digest}")) == f"x@{ONE.digest}"
    assert name_of(named("No Name!")) == ""
