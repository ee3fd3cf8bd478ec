"""Reading `WWW-Authenticate`, and what clients and users say about credentials."""

import base64
import json

import pytest

from labkit.errors import InvalidParameterError
from labkit.registry.client import credentials
from labkit.registry.client.challenges import Challenge, parse


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('Basic realm="it"', [Challenge("basic", {"realm": "it"})]),
        (
            'Bearer realm="https://auth.example/token",service="r.example",scope="repository:a:pull"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "r.example",
                        "scope": "repository:a:pull",
                    },
                )
            ],
        ),
        (
            'BEARER Realm="a,b=\\"c\\"" , x=plain, Basic realm=y',
            [
                Challenge("bearer", {"realm": 'a,b="c"', "x": "plain"}),
                Challenge("basic", {"realm": "y"}),
            ],
        ),
        (
            "Negotiate, Basic realm=z",
            [Challenge("negotiate", {}), Challenge("basic", {"realm": "z"})],
        ),
        ("", []),
        ('"; DROP', []),
        ('Basic realm="never closed', [Challenge("basic", {})]),
    ],
)
def test_a_challenge_is_read(line: str, expected: list[Challenge]) -> None:
    assert parse([line]) == expected


def test_challenges_of_several_lines() -> None:
    assert [found.scheme for found in parse(["Basic realm=a", "Bearer realm=b"])] == [
        "basic",
        "bearer",
    ]


@pytest.mark.parametrize("line", ['"' * 100_000, "a=" * 100_000, "x " * 100_000, 'a "\\' * 50_000])
def test_a_hostile_line_ends(line: str) -> None:
    parse([line])


def header(value: object, *, padded: bool = True) -> str:
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("padded", [True, False])
def test_credentials_of_a_header(padded: bool) -> None:
    given = {"username": "me", "password": "ü?>", "serveraddress": "localhost:5000"}
    assert credentials.from_header(header(given, padded=padded)) == credentials.Credentials(
        "me", "ü?>"
    )
    assert credentials.from_header(header({"identitytoken": "t"})).identity_token == "t"
    assert credentials.from_header("") == credentials.ANONYMOUS
    assert not credentials.from_header(header({})).are_given


def test_name_and_password_in_one_field() -> None:
    pair = base64.b64encode(b"me:pass:word").decode()
    found, server = credentials.from_json(json.dumps({"auth": pair, "serveraddress": "h"}).encode())
    assert (found.username, found.password, server) == ("me", "pass:word", "h")
    assert found.basic == "Basic " + pair


@pytest.mark.parametrize("text", ["*", "bm90IGpzb24=", "W10=", "eyJhdXRoIjogIiEifQ=="])
def test_bad_headers_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError):
        credentials.from_header(text)
