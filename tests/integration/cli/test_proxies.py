"""The proxies of the user's file, in containers and builds."""

import json
from pathlib import Path

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.root


def test_containers_and_builds_have_the_users_proxies(lab: Lab, tmp_path: Path) -> None:
    proxies = {"default": {"httpProxy": "http://proxy.test:3128", "noProxy": "localhost"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    env = lab.env | {"LABKIT_CONFIG": str(tmp_path)}
    show = "echo $HTTP_PROXY $http_proxy $no_proxy"
    words = ("run", "--rm", "--network", "none", "-e", "http_proxy=mine", "busybox", "sh", "-c")
    done = lab.cli(*words, show, env=env, check=True)
    assert done.stdout.split() == ["http://proxy.test:3128", "mine", "localhost"]
    dockerfile = f"FROM busybox\nRUN {show} > /seen\n"
    lab.cli("build", "-t", "seen", "-", input=dockerfile, env=env, check=True)
    seen = lab.cli("run", "--rm", "--network", "none", "seen", "cat", "/seen", check=True)
    assert seen.stdout.split() == ["http://proxy.test:3128", "http://proxy.test:3128", "localhost"]
    shown = json.loads(lab.cli("inspect", "seen", check=True).stdout)[0]
    assert "proxy.test" not in json.dumps(shown["Config"])
    lab.cli("rmi", "seen", check=True)
