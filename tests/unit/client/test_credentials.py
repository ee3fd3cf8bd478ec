"""The credential file, and which registry a name means."""

import base64
import json
import os
from pathlib import Path

import pytest

from labkit.client.credentials import CredentialFile
from labkit.dialect.references import is_tagged, server_of
from labkit.errors import InvalidParameterError

INDEX = "https://index.docker.io/v1/"


def decoded(header: str) -> dict[str, str]:
    return json.loads(base64.urlsafe_b64decode(header))


def test_credentials_come_back(tmp_path: Path) -> None:
    kept = CredentialFile(str(tmp_path / "new"))
    kept.store("localhost:5000", "me", "pass:wörd")
    assert kept.get("localhost:5000") == {
        "username": "me",
        "password": "pass:wörd",
        "serveraddress": "localhost:5000",
    }
    assert decoded(kept.header_for("localhost:5000/tool:1"))["password"] == "pass:wörd"
    assert decoded(kept.header_for("tool")) == {}
    assert os.stat(kept.path).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "new").st_mode & 0o777 == 0o700


def test_a_token_takes_the_passwords_place(tmp_path: Path) -> None:
    kept = CredentialFile(str(tmp_path))
    kept.store("", "me", "secret", "token")
    assert kept.get("docker.io") == {
        "username": "me",
        "identitytoken": "token",
        "serveraddress": INDEX,
    }
    assert "secret" not in Path(kept.path).read_text()
    assert base64.b64encode(b"me:secret").decode() not in Path(kept.path).read_text()


def test_what_is_unknown_stays(tmp_path: Path) -> None:
    other = {"auth": base64.b64encode(b"a:b").decode()}
    content = {"auths": {"r.example": other}, "HttpHeaders": {"X": "y"}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "config.json").chmod(0o644)
    kept = CredentialFile(str(tmp_path))
    kept.store("https://s.example/v2/", "c", "d")
    assert kept.erase("s.example")
    assert not kept.erase("s.example")
    assert json.loads(Path(kept.path).read_text()) == content
    assert os.stat(kept.path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"r": 1}}', '{"auths": {"r": {"auth": "*"}}}']
)
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InvalidParameterError, match=r"config\.json cannot be read"):
        CredentialFile(str(tmp_path)).get("r")


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LABKIT_CONFIG", str(tmp_path))
    assert CredentialFile().path == str(tmp_path / "config.json")
    monkeypatch.delenv("LABKIT_CONFIG")
    monkeypatch.setenv("HOME", "/nowhere")
    assert CredentialFile().path == "/nowhere/.labkit/config.json"


def test_tags_and_ports() -> None:
    assert not is_tagged("localhost:5000/x")
    assert is_tagged("localhost:5000/x:1")


@pytest.mark.parametrize("address", ["", "docker.io", INDEX, "https://index.docker.io"])
def test_the_default_server(address: str) -> None:
    assert server_of(address) == INDEX


def test_an_upper_case_name_gets_no_password(tmp_path: Path) -> None:
    """The daemon must never take for another registry what got Docker Hub's password here."""
    file = CredentialFile(str(tmp_path))
    file.store("", "me", "secret")
    with pytest.raises(InvalidParameterError, match="must be lowercase"):
        file.header_for("Foo/x")
