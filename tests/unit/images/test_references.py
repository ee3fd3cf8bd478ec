"""Names of images: what Docker's reference grammar takes, refuses, and how it shows them."""

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import references

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag"),
    [
        ("busybox", "docker.io", "library/busybox", "latest"),
        ("busybox:1.35", "docker.io", "library/busybox", "1.35"),
        ("docker.io/busybox", "docker.io", "library/busybox", "latest"),
        ("index.docker.io/library/busybox", "docker.io", "library/busybox", "latest"),
        ("someone/tool", "docker.io", "someone/tool", "latest"),
        ("localhost/tool", "localhost", "tool", "latest"),
        ("localhost:5000/a/b:v1", "localhost:5000", "a/b", "v1"),
        ("quay.io/x", "quay.io", "x", "latest"),
        ("Host.example/x", "Host.example", "x", "latest"),
        ("[::1]:5000/x", "[::1]:5000", "x", "latest"),
        ("a__b/c-d--e.f", "docker.io", "a__b/c-d--e.f", "latest"),
        ("sha256:abc", "docker.io", "library/sha256", "abc"),
        ("x:" + "t" * 128, "docker.io", "library/x", "t" * 128),
    ],
)
def test_a_name_is_taken_apart(text: str, domain: str, path: str, tag: str) -> None:
    assert references.parse(text) == (domain, path, tag, "")


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/busybox", "busybox:latest"),
        ("docker.io/someone/tool:1", "someone/tool:1"),
        ("localhost:5000/library/x", "localhost:5000/library/x:latest"),
        (f"busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"busybox@{DIGEST}"),
    ],
)
def test_a_name_is_shown_as_people_write_it(text: str, familiar: str) -> None:
    assert references.parse(text).familiar == familiar


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        (":tag", "invalid reference format"),
        ("Foo/x", r"repository name \(Foo/x\) must be lowercase"),
        ("Foo/x:1", r"repository name \(Foo/x\) must be lowercase"),
        ("Foo", r"repository name \(library/Foo\) must be lowercase"),
        ("a//b", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("-x", "invalid reference format"),
        ("a.", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("x:.hidden", "invalid reference format.*not a tag"),
        ("x:" + "t" * 129, "invalid reference format.*not a tag"),
        ("x:täg", "invalid reference format.*not a tag"),
        ("x@sha256:12", "not a sha256 digest"),
        ("x\n", "invalid reference format"),
        ("../x", "invalid reference format"),
        ("library/", "invalid reference format"),
        ("a/" * 150 + "x", "must not be more than 255 characters"),
        ("0123456789abcdef" * 4, "cannot specify 64-byte hexadecimal strings"),
    ],
)
def test_what_is_no_name_is_refused_in_dockers_words(text: str, message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        references.parse(text)


def test_ids_are_told_from_names() -> None:
    assert references.id_prefix("beef") == "beef"
    assert references.id_prefix("sha256:beef") == "beef"
    assert references.id_prefix("busybox") == ""
    assert references.id_prefix("BEEF") == ""
    assert references.id_prefix("0" * 65) == ""


@pytest.mark.parametrize(
    ("familiar", "repository", "is_digest"),
    [
        ("busybox:latest", "busybox", False),
        ("localhost:5000/x:1", "localhost:5000/x", False),
        (f"localhost:5000/x@{DIGEST}", "localhost:5000/x", True),
    ],
)
def test_a_repository_and_what_stands_behind_it(
    familiar: str, repository: str, is_digest: bool
) -> None:
    assert references.repository_of(familiar) == repository
    assert references.is_digest(familiar) == is_digest
