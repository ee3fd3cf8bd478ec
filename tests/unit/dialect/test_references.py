"""Names of images as the command line and the daemon read them: one grammar for both."""

import pytest

from labkit.dialect import references
from labkit.errors import InvalidParameterError
from labkit.images.references import parse

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "domain", "whole"),
    [
        ("busybox", "docker.io", "docker.io/library/busybox:latest"),
        ("someone/tool:1", "docker.io", "docker.io/someone/tool:1"),
        ("docker.io/busybox", "docker.io", "docker.io/library/busybox:latest"),
        ("index.docker.io/a/b", "docker.io", "docker.io/a/b:latest"),
        ("localhost/x", "localhost", "localhost/x:latest"),
        (f"localhost:5000/x@{DIGEST}", "localhost:5000", f"localhost:5000/x@{DIGEST}"),
        ("r.example/a/b:2", "r.example", "r.example/a/b:2"),
    ],
)
def test_whole_names(name: str, domain: str, whole: str) -> None:
    assert references.domain_of(name) == domain
    assert references.canonical(name) == whole
    assert parse(name).domain == domain


@pytest.mark.parametrize(
    "name", ["Foo/x", "FOO/x:1", "fOO/a/b", f"Foo/x@{DIGEST}", "Foo", "a b", ""]
)
def test_both_sides_refuse_the_same(name: str) -> None:
    for read in (references.domain_of, references.canonical, references.repository, parse):
        with pytest.raises(InvalidParameterError, match="invalid reference format"):
            read(name)


def test_a_long_name_is_refused_at_once() -> None:
    with pytest.raises(InvalidParameterError, match="more than 255"):
        references.split("a-" * 1_000_000)
