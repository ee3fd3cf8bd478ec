"""docker-compose, as this system has it: two services up, one restarted, their logs, and down.

Generation 1 (Debian 12) calls a container `pair_web_1`, generation 2 `pair-web-1`; on Ubuntu it is
a plugin of the command `docker`.
"""

import json
import os
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.peers.clients import compose_commands

pytestmark = pytest.mark.root

PROJECT = """
services:
  web:
    image: busybox
    network_mode: none
    restart: always
    command: sh -c 'echo web-up; trap "exit 0" TERM; while :; do sleep 0.1; done'
  job:
    image: busybox
    network_mode: none
    volumes: ["data:/data"]
    command: sh -c 'cat /data/seen; echo job-was-here > /data/seen; sleep 0.5; echo job-done'
volumes:
  data:
"""

SERVICES = """
services:
  web:
    image: busybox
    networks: {back: {aliases: [site]}}
    command: sleep 1000
  asks:
    image: busybox
    networks: [back]
    links: ["web:shop"]
    command: sleep 1000
networks:
  back:
"""


class Compose(NamedTuple):
    """A project `pair`: `call` runs the command in it, of which there are two generations."""

    call: Callable[..., str]
    generation: int

    @property
    def between(self) -> str:
        """What stands between the words of a container's name."""
        return "_" if self.generation == 1 else "-"


@pytest.fixture(params=compose_commands() or [None], ids=str)
def compose(request, lab, tmp_path):
    command = request.param
    if command is None:
        pytest.skip("needs docker-compose")
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    env = os.environ | {"DOCKER_HOST": f"unix://{lab.socket}", "COMPOSE_PROJECT_NAME": "pair"}

    def call(*arguments: str, check: bool = True) -> str:
        ended = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0 or not check, ended.stdout + ended.stderr
        return ended.stdout

    yield Compose(call, int(call("version", "--short").partition(".")[0]))
    call("down", "-v", "-t", "0", check=False)


def states(lab):
    listed = lab.api("GET", "/containers/json?all=1")[1]
    return {one["Labels"]["com.docker.compose.service"]: one["State"] for one in listed}


def test_two_services(compose, lab):
    compose.call("up", "-d")
    assert states(lab)["web"] == "running"
    shown = compose.call("exec", "-T", "web", "echo", "hello from web")
    assert shown == "hello from web\n"
    compose.call("restart", "-t", "2", "web")
    lab.api("POST", f"/containers/pair{compose.between}job{compose.between}1/wait")
    # In the foreground, until the job has ended: the logs of both, as they come.  Generation 1
    # shows what a service that runs already has said before, generation 2 does not.
    attached = compose.call("up", "--abort-on-container-exit")
    assert "job-was-here" in attached  # from the volume, written by the run before
    assert "job-done" in attached
    assert attached.count("web-up") == (2 if compose.generation == 1 else 0)
    assert states(lab) == {"web": "exited", "job": "exited"}
    compose.call("start", "web")
    assert compose.call("logs", "web").count("web-up") == 3
    pids = json.dumps(
        lab.api("GET", f"/containers/pair{compose.between}web{compose.between}1/top")[1]
    )
    assert "sh -c echo web-up" in pids
    compose.call("down", "-v", "-t", "2")
    assert states(lab) == {}
    assert not lab.api("GET", "/volumes")[1]["Volumes"]


def test_services_call_each_other_by_name(compose, lab, tmp_path):
    (tmp_path / "docker-compose.yml").write_text(SERVICES)
    compose.call("up", "-d", "-t", "0", "--scale", "web=2")
    first_name = f"pair{compose.between}web{compose.between}1"
    asked = {
        name: compose.call("exec", "-T", "asks", "nslookup", name).split("answer:\n")[1]
        for name in ("web", "site", "shop", first_name)
    }
    assert asked["web"].count("Address: ") == asked["site"].count("Address: ") == 2
    assert asked["shop"].count("Address: ") == asked[first_name].count("Address: ") == 1
    # In turn: one asks twice, and is answered with each of the two first.
    first, second = (
        compose.call("exec", "-T", "asks", "ping", "-c", "1", "web").split(")")[0] for _ in range(2)
    )
    assert first != second
    compose.call("down", "-t", "0")
    assert states(lab) == {}
