"""How things are shown: tables, times, templates."""

import pytest

from labkit.cli.base.errors import UsageError
from labkit.cli.base.filters import filters_from
from labkit.cli.show.table import short_id, shortened, table
from labkit.cli.show.times import ago, duration, parse_duration, parse_time
from labkit.client.images import split_tag
from labkit.errors import InvalidParameterError

MINUTE, HOUR, DAY = 60, 3600, 86400


def test_table_columns_are_dockers() -> None:
    rows = [("abc", "a long cell here", "x"), ("d", "e", "")]
    assert table(("ID", "NAME", "LAST ONE"), rows) == (
        "ID        NAME               LAST ONE\nabc       a long cell here   x\nd         e\n"
    )


def test_table_without_rows_is_its_headings() -> None:
    assert table(("CONTAINER ID", "NAMES"), []) == "CONTAINER ID   NAMES\n"


def test_ids_and_long_texts() -> None:
    assert short_id("sha256:" + "ab" * 32) == "abababababab"
    assert short_id("sha256:ab", full=True) == "sha256:ab"
    assert shortened("x" * 20, 20) == "x" * 20
    assert shortened("x" * 21, 20) == "x" * 19 + "…"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (3 * HOUR, "3 hours"),
        (47 * HOUR, "47 hours"),
        (3 * DAY, "3 days"),
        (15 * DAY, "2 weeks"),
        (70 * DAY, "2 months"),
        (800 * DAY, "2 years"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
    assert ago(seconds) == f"{words} ago"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), ("2h0m5s", 7205)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "1x", "1m2", "1.2.3s", "-1m"])
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("text", "time_s"),
    [
        ("1700000000", 1700000000),
        ("1700000000.25", 1700000000.25),
        ("10m", 1700000000 - 600),
        ("2023-11-14T22:13:20Z", 1700000000),
        ("2023-11-14T22:13:20+00:00", 1700000000),
    ],
)
def test_times_are_read(text: str, time_s: float) -> None:
    assert parse_time(text, 1700000000) == pytest.approx(time_s)


def test_what_is_no_time() -> None:
    with pytest.raises(
        InvalidParameterError, match='failed to parse value as time or duration: "yesterday"'
    ):
        parse_time("yesterday", 0)


def test_filters() -> None:
    given = ["status=exited", "label=a=b", "status=created"]
    assert filters_from(given) == {"status": ["exited", "created"], "label": ["a=b"]}
    with pytest.raises(UsageError, match='"running" for "-f, --filter" flag: bad format'):
        filters_from(["running"])


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("", ("", "")),
        ("a", ("a", "")),
        ("a:b", ("a", "b")),
        ("host:5000/a", ("host:5000/a", "")),
        ("host:5000/a:b", ("host:5000/a", "b")),
    ],
)
def test_references_are_split_at_the_tag(reference: str, parts: tuple[str, str]) -> None:
    assert split_tag(reference) == parts
