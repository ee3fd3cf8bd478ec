"""Variables with modifiers, as Docker's little shell has them."""

import contextlib
import time
from collections.abc import Callable
from functools import partial

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import shell_words as words

ENVIRONMENT = {"x": "foobarfoo", "empty": "", "path": "/usr/local/bin"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${x:-y}", "foobarfoo"),
        ("${unset:-y$x}", "yfoobarfoo"),
        ("${unset:-${x:+z}}", "z"),
        ("${empty:-d}", "d"),
        ("${empty-d}", ""),
        ("${unset-d}", "d"),
        ("${unset+d}", ""),
        ("${empty+d}", "d"),
        ("${empty:+d}", ""),
        ("${x#f*o}", "obarfoo"),
        ("${x##f*o}", ""),
        ("${x%o*}", "foobarfo"),
        ("${x%%o*}", "f"),
        ("${path##*/}", "bin"),
        ("${path%/*}", "/usr/local"),
        ("${path%nothing}", "/usr/local/bin"),
        ("${x/foo/Z}", "Zbarfoo"),
        ("${x//foo/Z}", "ZbarZ"),
        ("${x//o}", "fbarf"),
        ("${x?is needed}", "foobarfoo"),
        ("$x$", "foobarfoo$"),
        ("$$x", "x"),
        ("$1a", "a"),
        (r"\$x", "$x"),
        ('"$x y"', "foobarfoo y"),
        ("'$x'", "$x"),
        ("${unset:-'a b'}", "a b"),
    ],
)
def test_references(text: str, expanded: str) -> None:
    assert words.Expander(ENVIRONMENT).expand(text) == expanded


def test_another_escape_character() -> None:
    assert words.Expander(ENVIRONMENT, "`").expand("c:\\`$x") == "c:\\$x"


def test_fields_leave_words_as_they_are() -> None:
    assert words.fields("a=\"b c\"  d='e f' g=h\\ i") == ['a="b c"', "d='e f'", r"g=h\ i"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${x", "unsupported modifier after x"),
        ("${x:-y", "the closing brace is missing"),
        ("${x^y}", "unsupported modifier after x"),
        ("${}", "a name must follow"),
        ("${unset:?is needed}", "unset: is needed"),
        ("${unset?}", "unset: not set"),
    ],
)
def test_what_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(InvalidParameterError, match=why):
        words.Expander(ENVIRONMENT).expand(text)


def seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    with contextlib.suppress(InvalidParameterError):
        action()
    return time.process_time() - started


@pytest.mark.parametrize(
    "text",
    [
        *("${A#" + "*a" * 30 + "b}", "${A##" + "*a" * 30 + "b}", "${A%" + "a*" * 30 + "b}"),
        *("${A%%" + "a*" * 30 + "b}", "${A//" + "*a" * 30 + "b/x}", "${A/" + "?" * 40 + "b/x}"),
    ],
)
def test_a_pattern_with_many_stars_takes_no_time(text: str) -> None:
    expander = words.Expander({"A": "a" * 20_000})
    assert seconds(lambda: expander.expand(text)) < 1


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, '"' + "x" * 1_000_000, "$" * 1_000_000, "${" * 500_000]
)
def test_a_long_word_takes_time_by_its_length(text: str) -> None:
    expander = words.Expander({})
    for read in (expander.expand, expander.split, expander.expand_document, words.fields):
        assert seconds(partial(read, text)) < 3


def test_references_nest_only_so_deep() -> None:
    assert words.Expander({}).expand("${A:-" * 50 + "x" + "}" * 50) == "x"
    with pytest.raises(InvalidParameterError, match="references are nested"):
        words.Expander({}).expand("${A:-" * 5000 + "}" * 5000)


def test_variables_put_in_only_so_much() -> None:
    budget = words.Budget(1000)
    value = "x"
    with pytest.raises(InvalidParameterError, match="insert more than"):
        for _ in range(20):
            value = words.Expander({"A": value}, budget=budget).expand("$A$A")
    for text in ("$A" * 200, "${A//x/" + "y" * 200 + "}", "${A:+" + "z" * 2000 + "}"):
        with pytest.raises(InvalidParameterError, match="insert more than"):
            words.Expander({"A": "x" * 10}, budget=words.Budget(1000)).expand(text)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${x//*/y}", "y"),
        ("${x//o/}", "fbar"),
        ("${x/o/0}", "f0obar"),
        ("${x//?/-}", "------"),
        ("${x%%*}", ""),
        ("${x%*}", "foobar"),
        ("${x#*}", "foobar"),
        ("${x##*}", ""),
        ("${x%}", "foobar"),
        ("${x#f?o}", "bar"),
    ],
)
def test_patterns(text: str, expanded: str) -> None:
    assert words.Expander({"x": "foobar"}).expand(text) == expanded
