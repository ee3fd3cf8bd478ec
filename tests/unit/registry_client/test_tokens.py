"""Who is told the password, and what becomes of tokens."""

import base64
import json
from urllib.parse import parse_qs

import pytest

from labkit.registry.client.credentials import Credentials
from labkit.registry.client.errors import RegistryError, UnreachableError
from tests.unit.registry_client.conftest import Connect
from tests.unit.registry_client.fake import Answer, Asked, FakeRegistry

ME = Credentials("me", "secret")
MANIFESTS = "GET /v2/library/x/manifests/1"


def bearer(fake: FakeRegistry, realm: str) -> None:
    """Want a token of the service at `realm`: `t1`, after the first one has expired `t2`."""
    wanted = {"WWW-Authenticate": f'Bearer realm="{realm}",service="r"'}
    refuse = Answer(401, headers=wanted)
    fake.on("GET /v2/", refuse)
    fake.manifest({"schemaVersion": 2})
    (good,) = fake.answers[MANIFESTS]
    assert isinstance(good, Answer)

    def judge(asked: Asked) -> Answer:
        return good if asked.headers.get("authorization") == "Bearer t2" else refuse

    fake.on(MANIFESTS, judge)


def tokens(*values: str) -> list[Answer]:
    return [Answer(body=json.dumps({"token": value}).encode()) for value in values]


def test_a_token_is_asked_for_once_and_again_when_it_expires(
    fake: FakeRegistry, connect: Connect
) -> None:
    bearer(fake, f"{fake.url}/token?x=y")
    fake.on("GET /token", *tokens("t1", "t2"))
    repository = connect(ME)
    repository.manifest("1")
    repository.manifest("1")
    assert fake.lines() == [
        *("GET /v2/", "GET /token", MANIFESTS, "GET /token", MANIFESTS, MANIFESTS),
    ]
    query = parse_qs(fake.asked[1].query)
    assert query == {
        "x": ["y"],
        "service": ["r"],
        "scope": ["repository:library/x:pull"],
        "account": ["me"],
    }
    pair = base64.b64encode(b"me:secret").decode()
    assert fake.asked[1].headers["authorization"] == f"Basic {pair}"


def test_a_token_that_is_refused_again_is_the_end(fake: FakeRegistry, connect: Connect) -> None:
    bearer(fake, f"{fake.url}/token")
    fake.on("GET /token", *tokens("t1"))
    with pytest.raises(RegistryError) as caught:
        connect(ME).manifest("1")
    assert caught.value.is_denial
    assert len(fake.asked) == 5


def test_an_identity_token_takes_the_passwords_place(fake: FakeRegistry, connect: Connect) -> None:
    bearer(fake, f"{fake.url}/token")
    fake.on("POST /token", Answer(body=b'{"access_token": "t2", "expires_in": 300}'))
    connect(Credentials("me", "", identity_token="long")).manifest("1")
    form = parse_qs(fake.asked[1].body.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["long"])
    assert form["scope"] == ["repository:library/x:pull"]


def test_the_password_does_not_go_elsewhere_in_plain_sight(
    fake: FakeRegistry, elsewhere: FakeRegistry, connect: Connect
) -> None:
    bearer(fake, f"{elsewhere.url}/token")
    elsewhere.on("GET /token", *tokens("t2"))
    with pytest.raises(UnreachableError, match="without encryption"):
        connect(ME).manifest("1")
    assert elsewhere.asked == []
    connect().manifest("1")  # nobody's secret
    assert "authorization" not in elsewhere.asked[0].headers


def test_a_service_that_redirects_is_told_nothing_more(
    fake: FakeRegistry, elsewhere: FakeRegistry, connect: Connect
) -> None:
    bearer(fake, f"{fake.url}/token")
    fake.on("GET /token", Answer(302, headers={"Location": f"{elsewhere.url}/t"}))
    elsewhere.on("GET /t", *tokens("t2"))
    connect(ME).manifest("1")
    assert "authorization" not in elsewhere.asked[0].headers


@pytest.mark.parametrize("realm", ["", "file:///etc/shadow", "nonsense", "http://"])
def test_realms_that_are_none(fake: FakeRegistry, connect: Connect, realm: str) -> None:
    bearer(fake, realm)
    with pytest.raises(UnreachableError, match="not the address of a token service"):
        connect(ME).manifest("1")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"token": ""}', b'{"token": "a\\r\\nX: y"}', b"[1]"]
)
def test_tokens_that_are_none(fake: FakeRegistry, connect: Connect, body: bytes) -> None:
    bearer(fake, f"{fake.url}/token")
    fake.on("GET /token", Answer(body=body))
    with pytest.raises(RegistryError, match="gave no token"):
        connect().manifest("1")


def test_a_wrong_password_at_the_token_service(fake: FakeRegistry, connect: Connect) -> None:
    bearer(fake, f"{fake.url}/token")
    fake.on("GET /token", Answer(401, b'{"details": "incorrect username or password"}'))
    with pytest.raises(RegistryError, match="incorrect username or password"):
        connect(ME).registry.log_in()


def test_logging_in_brings_an_identity_token(fake: FakeRegistry, connect: Connect) -> None:
    bearer(fake, f"{fake.url}/token")
    offline = {"token": "t2", "refresh_token": "long"}
    fake.on("GET /token", Answer(body=json.dumps(offline).encode()))
    repository = connect(ME)
    wanted = fake.answers["GET /v2/"][0]
    fake.on("GET /v2/", wanted, Answer())
    assert repository.registry.log_in() == "long"
    assert parse_qs(fake.asked[2].query)["offline_token"] == ["true"]


def test_a_basic_password_is_sent_to_the_registry_alone(
    fake: FakeRegistry, connect: Connect
) -> None:
    fake.on("GET /v2/", Answer(401, headers={"WWW-Authenticate": 'Basic realm="it"'}))
    fake.manifest({"schemaVersion": 2})
    connect(ME).manifest("1")
    assert fake.asked[-1].headers["authorization"].startswith("Basic ")
