"""`-p` as Docker reads it."""

import pytest

from labkit.cli.base.errors import UsageError
from labkit.cli.values.networks import endpoints, port_bindings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", {"80/tcp": [("", None)]}),
        ("8080:80", {"80/tcp": [("", "8080")]}),
        ("53:53/udp", {"53/udp": [("", "53")]}),
        ("127.0.0.1:8080:80", {"80/tcp": [("127.0.0.1", "8080")]}),
        ("127.0.0.1::80", {"80/tcp": [("127.0.0.1", None)]}),
        ("[::1]:8080:80/TCP", {"80/tcp": [("::1", "8080")]}),
        ("8000-8001:80-81", {"80/tcp": [("", "8000")], "81/tcp": [("", "8001")]}),
        ("8000-8009:80", {"80/tcp": [("", "8000-8009")]}),
        ("80-81", {"80/tcp": [("", None)], "81/tcp": [("", None)]}),
    ],
)
def test_published_ports(text, expected):
    assert port_bindings([text]) == expected


@pytest.mark.parametrize(
    "text", ["", "x", "80:", "1:2:3:4", "8000-8002:80-81", "80/icmp", "70000", "[::1]80:80"]
)
def test_what_is_no_port_is_refused(text):
    with pytest.raises(UsageError, match="-p, --publish"):
        port_bindings([text])


def test_two_places_for_one_port():
    assert port_bindings(["80:80", "81:80"]) == {"80/tcp": [("", "80"), ("", "81")]}


def test_what_is_wanted_of_the_network():
    options = {"network_alias": ["a"], "ip": "10.1.0.5", "ip6": "", "link": ["db:d"]}
    wanted = {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.1.0.5"}}
    assert endpoints("mine", options) == {"mine": {**wanted, "Links": ["db:d"]}}
    assert endpoints("bridge", options) == {"bridge": wanted}
    assert endpoints("bridge", {"network_alias": [], "ip": "", "ip6": "", "link": []}) is None
