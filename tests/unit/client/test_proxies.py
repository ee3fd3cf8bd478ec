"""The proxies in a user's files."""

import json
from pathlib import Path

import pytest

from labkit.client import proxies

SOCKET = "/run/labkit/labkit.sock"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("labkit", "docker"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"{name.upper()}_CONFIG", str(tmp_path / name))
    return tmp_path


def write(folders: Path, whose: str, content: object) -> None:
    (folders / whose / "config.json").write_text(json.dumps(content))


def test_without_a_file_there_are_none(folders):
    assert proxies.variables(SOCKET) == {}
    assert proxies.with_variables(["A=1"], SOCKET) == ["A=1"]


def test_each_has_both_spellings(folders):
    write(folders, "docker", {"proxies": {"default": {"httpProxy": "p:1", "noProxy": "a,b"}}})
    assert proxies.variables(SOCKET) == {
        "HTTP_PROXY": "p:1",
        "http_proxy": "p:1",
        "NO_PROXY": "a,b",
        "no_proxy": "a,b",
    }


def test_labkits_file_comes_first_and_a_daemon_may_have_its_own(folders):
    write(folders, "docker", {"proxies": {"default": {"httpProxy": "docker"}}})
    write(folders, "labkit", {"auths": {}})
    assert proxies.variables(SOCKET)["HTTP_PROXY"] == "docker"
    own = {"default": {"httpProxy": "all"}, f"unix://{SOCKET}": {"httpProxy": "this"}}
    write(folders, "labkit", {"proxies": own})
    assert proxies.variables(SOCKET)["HTTP_PROXY"] == "this"
    assert proxies.variables("/other")["HTTP_PROXY"] == "all"


def test_what_the_user_says_stays(folders):
    write(folders, "docker", {"proxies": {"default": {"httpsProxy": "p"}}})
    words = proxies.with_variables(["HTTPS_PROXY=mine", "https_proxy"], SOCKET)
    assert words == ["HTTPS_PROXY=mine", "https_proxy"]


@pytest.mark.parametrize(
    "content",
    [[], {"proxies": []}, {"proxies": {"default": 1}}, {"proxies": {"default": {"x": ""}}}],
)
def test_other_forms_name_none(folders, content):
    write(folders, "docker", content)
    assert proxies.variables(SOCKET) == {}


def test_a_file_that_is_no_json_names_none(folders):
    (folders / "docker" / "config.json").write_text("{")
    assert proxies.variables(SOCKET) == {}
