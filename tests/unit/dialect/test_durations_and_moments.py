"""One vocabulary of time for the command line and the daemon: Go's durations, Docker's words."""

import pytest

from labkit.dialect.durations import LONGEST_NS, ago, human, parse_ns
from labkit.dialect.moments import parse_s, timestamp, unix_s
from labkit.errors import InvalidParameterError

MINUTE, HOUR, DAY = 60, 3600, 86400
NOW_S = 1_700_000_000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "Less than a second"),
        (0.9, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (59 * MINUTE, "59 minutes"),
        (HOUR, "About an hour"),
        (1.4 * HOUR, "About an hour"),
        (1.6 * HOUR, "2 hours"),
        (2.5 * HOUR, "3 hours"),
        (3.5 * HOUR, "4 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (60 * DAY, "2 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_are_worded_as_docker_words_them(seconds: float, words: str) -> None:
    assert human(seconds) == words
    assert ago(seconds) == f"{words} ago"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("10m", 600_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1h1h", 7_200_000_000_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("300ms", 300_000_000),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("7ns", 7),
        ("0.3s", 300_000_000),
        ("-5s", -5_000_000_000),
        ("+5s", 5_000_000_000),
        ("0", 0),
        ("2562047h47m16.854775807s", LONGEST_NS),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, nanoseconds: int) -> None:
    assert parse_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "10", "m", "1x", "1m2", "1.2.3s", ".s", "1 s", "1e3s", "١s", "--5s"),
        *("9" * 99 + "s", "2562048h", "1d"),
    ],
)
def test_no_durations(text: str) -> None:
    assert parse_ns(text) is None


@pytest.mark.parametrize(
    ("text", "time_s"),
    [
        ("1700000000", NOW_S),
        ("1700000000.25", NOW_S + 0.25),
        ("10m", NOW_S - 600),
        ("-5s", NOW_S + 5),
        ("2023-11-14T22:13:20Z", NOW_S),
        ("2023-11-14T22:13:20+00:00", NOW_S),
        ("2023-11-14T22:13:20.500000000Z", NOW_S + 0.5),
    ],
)
def test_moments_are_read(text: str, time_s: float) -> None:
    assert parse_s(text, NOW_S) == pytest.approx(time_s)


@pytest.mark.parametrize("text", ["yesterday", "", "1.2.3", "9" * 50, "2023-13-01"])
def test_no_moments(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="failed to parse value as time or duration"):
        parse_s(text, 0)


def test_times_of_records() -> None:
    assert unix_s("2024-05-01T12:00:00.5Z") == 1714564800.5
    assert unix_s("2024-05-01T12:00:00.123456789Z") == pytest.approx(1714564800.123456789)
    assert unix_s("2024-05-01T12:00:00+02:00") == 1714564800 - 7200
    for text in ("0001-01-01T00:00:00Z", "", "soon"):
        assert unix_s(text) == 0
    assert timestamp(1714564800_000000005) == "2024-05-01T12:00:00.000000005Z"
