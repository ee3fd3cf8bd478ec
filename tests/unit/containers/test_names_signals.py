"""Names of containers and names of signals: what Docker takes, and what it refuses."""

import signal

import pytest

from labkit.containers.records import names
from labkit.errors import InvalidParameterError
from labkit.signals import parse_signal


def test_a_chosen_name_is_valid_and_free():
    taken = set()
    for _ in range(500):
        name = names.choose(taken)
        names.check(name)
        assert name not in taken
        taken.add(name)


@pytest.mark.parametrize("name", ["", "a", "-x", "a b", "a/b", "ä_b", ".hidden", "a\n"])
def test_names_docker_refuses(name):
    with pytest.raises(InvalidParameterError, match="Invalid container name"):
        names.check(name)


@pytest.mark.parametrize("name", ["ab", "web-1", "a.b_c", "1x"])
def test_names_docker_takes(name):
    names.check(name)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("SIGTERM", 15),
        ("term", 15),
        ("9", 9),
        ("KILL", 9),
        ("RTMIN+3", signal.SIGRTMIN + 3),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
    ],
)
def test_signals(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "NOSUCH", "0", "65", "-1", "RTMIN+99", "RTMIN+x"])
def test_not_signals(text):
    with pytest.raises(InvalidParameterError, match="invalid signal"):
        parse_signal(text)
