"""`.dockerignore` and the wildcards of COPY, by Docker's rules."""

import time

import pytest

from labkit.errors import InvalidParameterError
from labkit.patterns import Patterns, has_wildcard, read_ignore, wildcard


@pytest.mark.parametrize(
    ("patterns", "path", "matches"),
    [
        ("*.md", "a.md", True),
        ("*.md", "docs/a.md", False),
        ("**/*.md", "docs/deep/a.md", True),
        ("**/*.md", "a.md", True),
        ("docs", "docs/deep/a.md", True),
        ("/docs", "docs/a", True),
        ("docs/", "docs/a", True),
        ("./docs/../docs", "docs", True),
        ("*/temp*", "one/temporary.txt", True),
        ("*/temp*", "one/two/temporary.txt", False),
        ("*/*/temp*", "one/two/temporary.txt", True),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("*.md !README.md", "README.md", False),
        ("!README.md *.md", "README.md", True),
        ("*.md !README*.md README-secret.md", "README-secret.md", True),
        ("docs !docs/keep", "docs/keep/a", False),
        ("docs !docs/keep", "docs/b", True),
        ("**", "a/b", True),
        ("** !a/b", "a/b", False),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        (r"\*.txt", "*.txt", True),
        (r"\*.txt", "a.txt", False),
        ("a.txt", "aXtxt", False),
        (". /", "a", False),
    ],
)
def test_ignore_rules(patterns: str, path: str, matches: bool) -> None:
    assert Patterns(patterns.split()).match(path) is matches


def test_reading_an_ignore_file() -> None:
    text = "\ufeff# comment\n\n*.md\n  !README.md  \n #not a comment\r\n"
    assert read_ignore(text) == ["*.md", "!README.md", "#not a comment"]


def test_patterns_are_clean_paths_as_a_client_compares_them() -> None:
    text = "/a\n./b/\n! /c/ \nd/../e\n/\n**/x/\n!\n"
    assert read_ignore(text) == ["a", "b", "!c", "e", "/", "**/x", "!"]


def test_an_ignored_folder_is_looked_into_only_for_exceptions() -> None:
    patterns = Patterns(["node_modules", "docs", "!docs/keep", "!**/x.md"])
    assert patterns.may_match_within("docs")
    assert Patterns(["node_modules", "!docs/keep"]).may_match_within("node_modules") is False
    assert patterns.may_match_within("node_modules")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "d/a.txt", False),
        ("d/?.txt", "d/a.txt", True),
        ("d/[ab].txt", "d/b.txt", True),
        ("d/[[]0].txt", "d/[0].txt", True),
        ("**.txt", "d/a.txt", False),
        ("*", "d", True),
    ],
)
def test_wildcards_of_copy(pattern: str, path: str, matches: bool) -> None:
    assert has_wildcard(pattern)
    assert bool(wildcard(pattern).fullmatch(path)) is matches


@pytest.mark.parametrize("pattern", ["[a", "a\\", "[]a]", "!"])
def test_a_pattern_that_cannot_be_read_is_an_error(pattern: str) -> None:
    with pytest.raises(InvalidParameterError, match="pattern"):
        Patterns([pattern])


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("a[+-9]b", "a/b", False),
        ("a[+-9]b", "a.b", True),
        ("a[+-9]b", "a5b", True),
        ("a[/]b", "a/b", False),
        ("a[^x]b", "a/b", False),
        ("*[.€]*", "a€b", True),
        ("*[^€]", "a€", False),
        ("?*?", "\udcff\udcfe", True),
    ],
)
def test_classes_and_foreign_bytes(pattern: str, path: str, matches: bool) -> None:
    assert wildcard(pattern).fullmatch(path) is matches
    assert Patterns([pattern]).match(path) is matches


@pytest.mark.parametrize(
    "pattern", ["*a" * 30 + "b", "**/*a" * 30 + "/b", "?*" * 60 + "b", "*[a]" * 40 + "b"]
)
def test_a_pattern_with_many_stars_takes_no_time(pattern: str) -> None:
    path = "/".join(["a" * 200] * 20)
    started = time.process_time()
    assert not Patterns([pattern]).match(path)
    assert not wildcard(pattern).fullmatch(path)
    assert time.process_time() - started < 1


def test_a_pattern_longer_than_any_path_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="too long"):
        Patterns(["*" * 5000])
