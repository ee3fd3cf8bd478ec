"""Variables with modifiers, as Docker's little shell has them."""

import pytest

from labkit.errors import InvalidParameterError
from labkit.images import words

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
    assert words.expand(text, ENVIRONMENT) == expanded


def test_another_escape_character() -> None:
    assert words.expand("c:\\`$x", ENVIRONMENT, "`") == "c:\\$x"


def test_fields_leave_words_as_they_are() -> None:
    assert words.fields("a=\"b c\"  d='e f' g=h\\ i") == ['a="b c"', "d='e f'", r"g=h\ i"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${x", "no known modifier follows x"),
        ("${x:-y", "the closing brace is missing"),
        ("${x^y}", "no known modifier follows x"),
        ("${}", "a name must follow"),
        ("${unset:?is needed}", "unset: is needed"),
        ("${unset?}", "unset: not set"),
    ],
)
def test_what_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(InvalidParameterError, match=why):
        words.expand(text, ENVIRONMENT)
